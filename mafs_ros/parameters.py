"""
The one table of the node's parameters.

Declaration, validation, `config/mafs_fusion.yaml` and the tables of the documentation are all
made from it. This module knows no ROS; `parameter_handler` connects it to a node and
`parameter_docs` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from mafs_model.defaults import MAX_INFERENCE_PIXELS, OPACITY, QUEUE_SIZE, SLOP_S
from mafs_model.detections import MIN_AREA_PX
from mafs_model.errors import ConfigError
from mafs_model.images.cameras import (
    BYTE_ORDERS,
    camera_names,
    MIRRORS,
    OF_CAMERA,
    PALETTES,
    POLARITIES,
    ROTATIONS,
)
from mafs_model.images.encodings import MAX_PIXELS
from mafs_model.images.temperature import UNIT_NAMES
from mafs_model.images.thermal import SCALE_8BIT
from mafs_model.types import BACKENDS, PRECISIONS
from mafs_ros.parameter_types import (
    AUTO,
    Parameter,
    parse_device,
    parse_groups,
    parse_homography,
    parse_size,
    Size,
)

__all__ = ['AUTO', 'BY_NAME', 'RENAMED', 'Parameter', 'Settings', 'SettingsBox', 'TABLE']

_SIZE = '`WIDTHxHEIGHT` such as `640x480`, or empty'

TABLE: tuple[Parameter, ...] = (
    Parameter(
        'autostart',
        'bool',
        False,
        'Configure and activate by itself at start, without a lifecycle manager.',
    ),
    Parameter(
        'weights',
        'string',
        'default',
        'Weights file of the network; `default`: the shipped one, or classical fusion '
        'without labels where none is shipped; `classical`: no network.',
        expected='path of a safetensors file, `default`, or `classical`',
    ),
    Parameter(
        'classes.table',
        'string',
        '',
        'Names and colours of the classes; empty: as stored in the weights.',
        expected='`mfnet`, `msrs`, `fmb`, `pst900`, path of a YAML file, or empty',
    ),
    Parameter(
        'classes.keep',
        'string_array',
        (),
        'Classes, or groups of `classes.merge`, that are labelled; the rest becomes unlabelled. '
        'Empty: all.',
        expected='names of classes',
    ),
    Parameter(
        'classes.merge',
        'string_array',
        (),
        'Classes that become one, under a new name.',
        parse=parse_groups,
        expected='groups such as `vehicles=car+truck`',
    ),
    Parameter(
        'device',
        'string',
        'auto',
        'Where to compute; `auto` takes a GPU if there is one and warns if not.',
        parse=parse_device,
        expected='one of `auto`, `cpu`, `cuda`, `cuda:N`',
    ),
    Parameter('backend', 'string', 'auto', 'Runtime that computes the network.', choices=BACKENDS),
    Parameter('precision', 'string', 'auto', 'Number format of the network.', choices=PRECISIONS),
    Parameter(
        'threads',
        'int',
        0,
        'CPU threads of the network; 0: chosen by the backend.',
        minimum=0,
        maximum=256,
    ),
    Parameter(
        'inference.size',
        'string',
        '',
        'Size at which the network sees the images; empty: the output size. Results are '
        'brought to the output size.',
        parse=parse_size,
        expected=_SIZE,
        unit='px',
    ),
    Parameter(
        'inference.max_pixels',
        'int',
        MAX_INFERENCE_PIXELS,
        'Larger images are inferred smaller unless `inference.size` is given; 0: no limit.',
        unit='px',
        minimum=0,
        maximum=MAX_PIXELS,
    ),
    Parameter(
        'input.max_pixels',
        'int',
        8_300_000,
        'Images of more pixels are dropped before they are decoded.',
        unit='px',
        minimum=1024,
        maximum=MAX_PIXELS,
        dynamic=True,
    ),
    Parameter(
        'output.size',
        'string',
        '',
        'Size of all output images; empty: the size of the visible image.',
        parse=parse_size,
        expected=_SIZE,
        unit='px',
    ),
    Parameter(
        'output.jpeg_quality',
        'int',
        80,
        'Quality of the compressed fused image and overlay; labels are PNG.',
        minimum=1,
        maximum=100,
        dynamic=True,
    ),
    Parameter(
        'reference',
        'string',
        'rgb',
        'Camera whose stamp and frame_id all outputs carry.',
        choices=('rgb', 'thermal'),
    ),
    Parameter(
        'rgb.transport',
        'string',
        'raw',
        'Message type of the visible images: Image or CompressedImage.',
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'thermal.transport',
        'string',
        'raw',
        'Message type of the thermal images: Image, CompressedImage, or 16 bit by the transport '
        'compressedDepth (PNG or RVL).',
        choices=('raw', 'compressed', 'compressedDepth'),
    ),
    Parameter(
        'thermal.camera',
        'string',
        AUTO,
        'What the camera sends (telemetry rows, halves, unit ...); `auto`: told by its frames. '
        'See docs/cameras.md.',
        expected=f'`auto`, {", ".join(f"`{name}`" for name in camera_names())}, or path of a YAML '
        'file',
    ),
    Parameter(
        'thermal.unit',
        'string',
        OF_CAMERA,
        'What counts and float values mean; `auto`: the unit in which the scene is plausible.',
        choices=(OF_CAMERA, *UNIT_NAMES),
    ),
    Parameter(
        'thermal.byte_order',
        'string',
        OF_CAMERA,
        'Order of the bytes of 16-bit counts; `little`: as the message says; `auto`: seen.',
        choices=(OF_CAMERA, *BYTE_ORDERS),
    ),
    Parameter(
        'thermal.palette',
        'string',
        OF_CAMERA,
        'Palette of false colours to be taken back; `none`: their luminance; `auto`: recognised.',
        choices=(OF_CAMERA, *PALETTES),
    ),
    Parameter(
        'thermal.rotation',
        'string',
        OF_CAMERA,
        'Clockwise turn that brings thermal images upright, before any registration.',
        unit='deg',
        choices=(OF_CAMERA, *(str(angle) for angle in ROTATIONS)),
    ),
    Parameter(
        'thermal.mirror',
        'string',
        OF_CAMERA,
        'Mirroring of thermal images, after the rotation.',
        choices=(OF_CAMERA, *MIRRORS),
    ),
    Parameter(
        'thermal.polarity',
        'string',
        OF_CAMERA,
        'Whether what is warm is bright; `auto`: seen from the pictures over time.',
        choices=(OF_CAMERA, *POLARITIES),
    ),
    Parameter(
        'thermal.scale_8bit',
        'string',
        'auto',
        'Whether 8-bit thermal images are scaled, too; `auto`: those that use but a few levels.',
        choices=SCALE_8BIT,
        dynamic=True,
    ),
    Parameter(
        'rgb.stamp_source',
        'string',
        'header',
        'Stamps of the visible images: those of the driver, or the time of arrival where it sets '
        'none or wrong ones.',
        choices=('header', 'receive'),
    ),
    Parameter(
        'thermal.stamp_source',
        'string',
        'header',
        'Stamps of the thermal images: those of the driver, or the time of arrival.',
        choices=('header', 'receive'),
    ),
    Parameter(
        'thermal.time_offset',
        'double_or_auto',
        0.0,
        'Added to the stamps of thermal images, against a constant latency of that camera; '
        '`auto`: measured from what both cameras see move, 0 until that is sure.',
        unit='s',
        minimum=-10.0,
        maximum=10.0,
        dynamic=True,
    ),
    Parameter(
        'thermal.scaling',
        'string',
        'percentile',
        'How 16- and 32-bit thermal images become 8-bit.',
        choices=('percentile', 'range', 'minmax', 'clahe'),
        dynamic=True,
    ),
    Parameter(
        'thermal.percentile_low',
        'double',
        1.0,
        'Share of pixels that become black for `percentile` and `clahe`.',
        unit='%',
        minimum=0.0,
        maximum=100.0,
        dynamic=True,
    ),
    Parameter(
        'thermal.percentile_high',
        'double',
        99.0,
        'Share of pixels below white for `percentile` and `clahe`.',
        unit='%',
        minimum=0.0,
        maximum=100.0,
        dynamic=True,
    ),
    Parameter(
        'thermal.range_low',
        'double',
        0.0,
        'Black for `range`, in the unit of `thermal.range_unit`.',
        minimum=-1e6,
        maximum=1e6,
        dynamic=True,
    ),
    Parameter(
        'thermal.range_high',
        'double',
        65535.0,
        'White for `range`, in the unit of `thermal.range_unit`.',
        minimum=-1e6,
        maximum=1e6,
        dynamic=True,
    ),
    Parameter(
        'thermal.range_unit',
        'string',
        'raw',
        'Unit of the limits of `range`: sensor counts or degrees Celsius.',
        choices=('raw', 'celsius'),
        dynamic=True,
    ),
    Parameter(
        'thermal.smoothing',
        'double',
        0.9,
        'Weight of the past in the scaling limits, against flicker; 0: each frame alone.',
        minimum=0.0,
        maximum=0.999,
        dynamic=True,
    ),
    Parameter(
        'thermal.homography',
        'double_array',
        (),
        '3x3 matrix, row by row, from thermal to visible pixels; empty: the thermal image '
        'is resized to the visible one.',
        parse=parse_homography,
        expected='9 numbers, or empty',
    ),
    Parameter(
        'thermal.homography_file',
        'string',
        '',
        'YAML file with that matrix; the list above wins over it.',
        expected='path of a YAML file, or empty',
    ),
    Parameter(
        'calibration_file',
        'string',
        '',
        'Calibration of both cameras by `mafs-calibrate`: registration, and the time offset where '
        '`thermal.time_offset` is 0 or `auto`. A homography given above wins.',
        expected='path of a YAML file, or empty',
    ),
    Parameter(
        'registration.distance',
        'double',
        0.0,
        'Distance at which a calibration by target registers exactly; 0: that of the file, or far '
        'away.',
        unit='m',
        minimum=0.0,
        maximum=1e6,
    ),
    Parameter(
        'thermal.on_shutter',
        'string',
        'hold',
        'When the thermal camera closes its shutter and repeats its last picture while the '
        'visible one changes: hold that picture, or work with the visible image alone.',
        choices=('hold', 'visible_only'),
        dynamic=True,
    ),
    Parameter(
        'on_misregistration',
        'string',
        'warn',
        'When the thermal image does not lie on the visible one: say so, or also work with the '
        'visible image alone until it does.',
        choices=('warn', 'visible_only'),
        dynamic=True,
    ),
    Parameter(
        'sync.policy',
        'string',
        'nearest',
        'How visible and thermal images become pairs: mutually nearest stamps, or the '
        'synchronisers of message_filters.',
        choices=('nearest', 'approximate', 'exact'),
    ),
    Parameter(
        'on_missing',
        'string',
        'single',
        'When one camera stops: wait for it, or work with the other one alone until it is back.',
        choices=('wait', 'single'),
    ),
    Parameter(
        'single_after',
        'double',
        0.5,
        'A camera is missing when the other one has gone on without it for this long, and for '
        'three of its usual intervals.',
        unit='s',
        minimum=0.05,
        maximum=60.0,
        dynamic=True,
    ),
    Parameter(
        'sync.slop',
        'double',
        SLOP_S,
        'Largest offset of a pair.',
        unit='s',
        minimum=0.0001,
        maximum=10.0,
        dynamic=True,
    ),
    Parameter(
        'sync.queue_size',
        'int',
        QUEUE_SIZE,
        'Images of each camera that wait for a partner.',
        minimum=2,
        maximum=1000,
    ),
    Parameter(
        'rate.limit',
        'double',
        0.0,
        'Pairs beyond so many a second are dropped before inference; 0: no limit.',
        unit='Hz',
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    ),
    Parameter(
        'stamps.max_ahead',
        'double',
        10.0,
        'Images whose stamp is further ahead of the clock are dropped; 0: not checked.',
        unit='s',
        minimum=0.0,
        maximum=1e9,
        dynamic=True,
    ),
    Parameter(
        'stamps.jump_back',
        'double',
        1.0,
        'A stamp this much older than the newest of its camera restarts the pairing, as '
        'when a bag starts over.',
        unit='s',
        minimum=0.01,
        maximum=3600.0,
        dynamic=True,
    ),
    Parameter(
        'overlay.opacity',
        'double',
        OPACITY,
        'Weight of the class colours in the overlay.',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    ),
    Parameter(
        'overlay.legend',
        'bool',
        False,
        'Draw the names of the classes in the overlay.',
        dynamic=True,
    ),
    Parameter(
        'overlay.min_confidence',
        'double',
        0.0,
        'Pixels whose class is less probable are not coloured in the overlay; 0: all are.',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    ),
    Parameter(
        'record.folder',
        'string',
        '',
        'Folder in which `~/snapshot` and `~/record` write; empty: `mafs_ros` in `ROS_HOME`, '
        'else in `~/.ros`.',
        expected='path of a folder, or empty',
    ),
    Parameter(
        'detections.min_area',
        'int',
        MIN_AREA_PX,
        'Smaller regions of labels are no objects.',
        unit='px',
        minimum=1,
        maximum=MAX_PIXELS,
        dynamic=True,
    ),
    Parameter(
        'points.slop',
        'double',
        SLOP_S,
        'Largest offset of a depth image and the visible image whose points it gives.',
        unit='s',
        minimum=0.0001,
        maximum=10.0,
        dynamic=True,
    ),
    Parameter(
        'diagnostics.stale_after',
        'double',
        3.0,
        'An input without an image for this long counts as stalled.',
        unit='s',
        minimum=0.1,
        maximum=3600.0,
        dynamic=True,
    ),
    Parameter(
        'diagnostics.min_pair_rate',
        'double',
        0.0,
        'Fewer pairs than this per second are a warning; 0: no limit.',
        unit='Hz',
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    ),
)

# Names of earlier releases and what they are called now.
RENAMED = {'classes': 'classes.table'}

BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in TABLE}


@dataclass(frozen=True)
class Settings:
    """The validated values of all parameters; sizes are (height, width)."""

    autostart: bool
    weights: str
    classes_table: str
    classes_keep: tuple[str, ...]
    classes_merge: tuple[tuple[str, tuple[str, ...]], ...]
    device: str
    backend: str
    precision: str
    threads: int
    inference_size: Size | None
    inference_max_pixels: int
    input_max_pixels: int
    output_size: Size | None
    output_jpeg_quality: int
    reference: str
    rgb_transport: str
    thermal_transport: str
    thermal_camera: str
    thermal_unit: str
    thermal_byte_order: str
    thermal_palette: str
    thermal_rotation: str
    thermal_mirror: str
    thermal_polarity: str
    thermal_scale_8bit: str
    rgb_stamp_source: str
    thermal_stamp_source: str
    thermal_time_offset: float | str
    thermal_scaling: str
    thermal_percentile_low: float
    thermal_percentile_high: float
    thermal_range_low: float
    thermal_range_high: float
    thermal_range_unit: str
    thermal_smoothing: float
    thermal_homography: tuple[float, ...] | None
    thermal_homography_file: str
    calibration_file: str
    registration_distance: float
    thermal_on_shutter: str
    on_misregistration: str
    sync_policy: str
    on_missing: str
    single_after: float
    sync_slop: float
    sync_queue_size: int
    rate_limit: float
    stamps_max_ahead: float
    stamps_jump_back: float
    overlay_opacity: float
    overlay_legend: bool
    overlay_min_confidence: float
    record_folder: str
    detections_min_area: int
    points_slop: float
    diagnostics_stale_after: float
    diagnostics_min_pair_rate: float

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """
        Validate values by parameter name; what is missing takes its default.

        Raises:
            ConfigError: naming the first refused parameter, its value and the expectation.

        """
        settings = cls(
            **{
                parameter.field: parameter.validate(values.get(parameter.name, parameter.default))
                for parameter in TABLE
            }
        )
        settings.check_combinations()
        return settings

    def check_combinations(self) -> None:
        """Raise ConfigError where values exclude each other."""
        if self.thermal_scaling == 'range' and self.thermal_range_low >= self.thermal_range_high:
            raise ConfigError(
                f'thermal.range_low: got {self.thermal_range_low:g}, expected less than '
                f'thermal.range_high ({self.thermal_range_high:g}) for scaling by range'
            )
        if self.thermal_percentile_low >= self.thermal_percentile_high:
            raise ConfigError(
                f'thermal.percentile_low: got {self.thermal_percentile_low:g}, expected less '
                f'than thermal.percentile_high ({self.thermal_percentile_high:g})'
            )


def check_fields(table: Iterable[Parameter], settings: type) -> None:
    """
    Check that rows and fields belong together; called once, when this module is imported.

    Args:
        table: the rows.
        settings: the dataclass that holds their values.

    Raises:
        RuntimeError: naming the parameter without a field, or the field without a parameter.

    """
    named = {parameter.field: parameter.name for parameter in table}
    typed = {field.name for field in fields(settings)}
    for field_name in sorted(named.keys() - typed):
        raise RuntimeError(
            f"parameter '{named[field_name]}' stands in TABLE, but {settings.__name__} has no "
            f"field '{field_name}' with its type"
        )
    for field_name in sorted(typed - named.keys()):
        raise RuntimeError(
            f"field '{field_name}' of {settings.__name__} has no parameter in TABLE"
        )


check_fields(TABLE, Settings)


class SettingsBox:
    """
    The settings in force, read where and when they are needed.

    Threads: the executor is the only writer; it replaces one reference, so that any reader sees
    the old or the new object. A reader that needs several values that fit together takes
    `current` once.

    Args:
        settings: validated values.

    """

    def __init__(self, settings: Settings) -> None:
        self.current = settings
