"""The architecture of a network as one frozen dataclass, from which every size is derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.numeric import is_whole

FUSION_DECODERS = ('pyramid', 'direct')
NORMALISATIONS = ('batch', 'instance')


# Far above what is sensible; a file that asks for more is refused before anything is built.
MAX_CHANNELS = 4096
MAX_DEPTH = 16
MAX_LEVELS = 8


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise ConfigError unless a value is an integer within its limits."""
    if not is_whole(value) or not low <= value <= high:
        raise ConfigError(f'{name} is {_short(value)}, expected an integer of {low} to {high}')


def _short(value: object) -> str:
    """Return a value for a message; a number of thousands of digits has no decimal form."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return f'an integer of {value.bit_length()} bits'
    text = repr(value)
    return text if len(text) < 80 else text[:80] + '...'


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f'{name} is {value!r}, expected one of {", ".join(choices)}')


@dataclass(frozen=True)
class MAFSConfig:
    """
    Architecture of one MAFS network.

    Args:
        variant: name of the variant, kept in checkpoints.
        num_classes: number of semantic classes C, at least 1.
        stem_stride: pixels per cell of the first level: 4 for the robot's network, 2 for one with
            a level at half resolution. Each further level halves the resolution.
        widths: channels of each level, finest first. The same for both streams.
        depths: residual blocks of each level and stream, on top of its stem or downsampling.
        gate_reduction: divisor from the channels of a level to the hidden channels of the
            cross-modal exchange and of the adaptive fusion module.
        modulation_width: hidden channels between a deep level and the scale and shift which it
            gives to the next finer one.
        modulation_norm: the parameter-free normalisation before that scale and shift:
            ``'batch'`` (running statistics, free at inference) or ``'instance'`` (as published).
        fusion_decoder: ``'pyramid'`` (weights on both sources, scale by scale) or ``'direct'``
            (decodes luminance from features, as published).
        fusion_width: hidden channels of the fusion decoder.
        segmentation_width: channels of the pixel decoder and the Transformer stages.
        attention_heads: heads of each Transformer stage.
        feed_forward_expansion: hidden channels of the convolutional feed-forward, as a multiple
            of segmentation_width.
        segmentation_levels: how many of the deepest levels feed Transformer stages.
        head_width: channels of the segmentation head, at stride 4.

    Raises:
        ConfigError: if a value is out of range or the sizes do not fit together.

    """

    variant: str
    num_classes: int = 9
    stem_stride: int = 4
    widths: tuple[int, ...] = (32, 64, 96, 128)
    depths: tuple[int, ...] = (0, 1, 1, 1)
    gate_reduction: int = 2
    modulation_width: int = 32
    modulation_norm: str = 'batch'
    fusion_decoder: str = 'pyramid'
    fusion_width: int = 32
    segmentation_width: int = 64
    attention_heads: int = 2
    feed_forward_expansion: int = 1
    segmentation_levels: int = 3
    head_width: int = 32

    def __post_init__(self) -> None:
        """Check ranges and combinations."""
        for name in ('widths', 'depths'):
            if not isinstance(getattr(self, name), list | tuple):
                raise ConfigError(f'{name} is {_short(getattr(self, name))}, expected a list')
        object.__setattr__(self, 'widths', tuple(self.widths))
        object.__setattr__(self, 'depths', tuple(self.depths))
        # label images are uint8, and 255 marks ignored pixels
        _check_integer('num_classes', self.num_classes, 1, 255)
        for name in (
            'gate_reduction',
            'modulation_width',
            'fusion_width',
            'segmentation_width',
            'attention_heads',
            'feed_forward_expansion',
            'head_width',
        ):
            _check_integer(name, getattr(self, name), 1, MAX_CHANNELS)
        if not isinstance(self.stem_stride, int) or self.stem_stride not in {2, 4}:
            raise ConfigError(f'stem_stride is {_short(self.stem_stride)}, expected 2 or 4')
        if not 1 <= len(self.widths) <= MAX_LEVELS:
            raise ConfigError(f'widths has {len(self.widths)} levels, expected 1 to {MAX_LEVELS}')
        if len(self.widths) != len(self.depths):
            raise ConfigError(
                f'widths has {len(self.widths)} levels and depths '
                f'{len(self.depths)}, expected the same number'
            )
        for width in self.widths:
            _check_integer('widths', width, 1, MAX_CHANNELS)
            if width % self.gate_reduction:
                raise ConfigError(
                    f'widths has {width}, expected a multiple of gate_reduction '
                    f'{self.gate_reduction}'
                )
        for depth in self.depths:
            _check_integer('depths', depth, 0, MAX_DEPTH)
        coarser = len(self.widths) - (2 if self.stem_stride == 2 else 1)
        _check_integer('segmentation_levels', self.segmentation_levels, 1, coarser)
        if self.segmentation_width % self.attention_heads:
            raise ConfigError(
                f'segmentation_width is {self.segmentation_width}, expected a '
                f'multiple of attention_heads {self.attention_heads}'
            )
        _check_choice('fusion_decoder', self.fusion_decoder, FUSION_DECODERS)
        _check_choice('modulation_norm', self.modulation_norm, NORMALISATIONS)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per cell of each level, finest first."""
        return tuple(self.stem_stride * 2**level for level in range(len(self.widths)))

    @property
    def max_stride(self) -> int:
        """Multiple to which inputs are padded inside, in pixels."""
        return self.strides[-1]

    @property
    def head_level(self) -> int:
        """Index of the level at stride 4, where the segmentation head works."""
        return self.strides.index(4)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        return {**values, 'widths': list(self.widths), 'depths': list(self.depths)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MAFSConfig:
        """
        Rebuild a configuration from :meth:`to_dict`.

        Raises:
            ConfigError: if a key is unknown or missing or a value has a wrong type.

        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f'unknown architecture keys {unknown}, expected some of {sorted(known)}'
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f'architecture values do not fit: {error}') from error


_TINY = MAFSConfig(variant='mafs_t')

_SMALL = MAFSConfig(
    variant='mafs_s',
    stem_stride=2,
    widths=(16, 48, 96, 160, 256),
    depths=(0, 1, 2, 2, 1),
    modulation_width=48,
    fusion_width=32,
    segmentation_width=96,
    attention_heads=4,
    head_width=48,
)

_BASE = MAFSConfig(
    variant='mafs_b',
    stem_stride=2,
    widths=(32, 96, 160, 256, 384),
    depths=(1, 2, 3, 3, 2),
    modulation_width=64,
    modulation_norm='instance',
    fusion_decoder='direct',
    fusion_width=48,
    segmentation_width=160,
    attention_heads=4,
    feed_forward_expansion=2,
    head_width=96,
)

_CONFIGS = {config.variant: config for config in (_TINY, _SMALL, _BASE)}

VARIANTS = tuple(_CONFIGS)


def create_config(variant: str, num_classes: int = 9, **overrides: Any) -> MAFSConfig:
    """
    Return the configuration of a named variant.

    Args:
        variant: one of :data:`VARIANTS`.
        num_classes: number of semantic classes.
        overrides: other fields of :class:`MAFSConfig` to replace.

    Raises:
        ConfigError: if the variant or a field is unknown or a value does not fit.

    """
    _check_choice('variant', variant, VARIANTS)
    try:
        return replace(_CONFIGS[variant], num_classes=num_classes, **overrides)
    except TypeError as error:
        raise ConfigError(f'architecture values do not fit: {error}') from error
