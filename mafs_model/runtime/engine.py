"""The interface between the predictor and whatever computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TYPE_CHECKING, TypeGuard

from mafs_model.classes import ClassTable
from mafs_model.decision import Peaks
from mafs_model.images.preprocessing import resize_labels
from mafs_model.images.registration import Unregistered
from mafs_model.prediction import Outputs, Prediction
from mafs_model.runtime.regions import reject_regions
from mafs_model.types import Size, UInt8Image
import numpy as np

if TYPE_CHECKING:  # Most engines do without torch.
    from torch import Tensor

# Which images are given.
MODES = ('fusion', 'visible_only', 'thermal_only')
MODE_CAMERAS = {
    'fusion': 'both cameras',
    'visible_only': 'the visible camera alone',
    'thermal_only': 'the thermal camera alone',
}
OUTPUT_NAMES = ('fused', 'labels', 'confidence')
LABEL_STRIDE = 2  # Deployment graphs give labels and confidence at half resolution.


def collect_outputs(
    results: Sequence[UInt8Image], size: Size, outputs: Outputs, peaks: Peaks = ()
) -> Prediction:
    """
    Return what a deployment graph computed, as far as it is wanted, at full size.

    Args:
        results: fused [H,W,3], labels and confidence [ceil(H/2),ceil(W/2)], all uint8.
        size: (height, width) of the input.
        outputs: what is wanted.
        peaks: least peaks of the regions of classes.

    """
    fused, labels, confidence = results
    if peaks and (outputs.labels or outputs.confidence):
        labels, confidence = reject_regions(labels, confidence, peaks)
    # Repetition for both: an interpolated confidence would not belong to the label beneath it.
    return Prediction(
        fused=fused if outputs.fused else None,
        labels=_repeat(labels, size) if outputs.labels else None,
        confidence=_repeat(confidence, size) if outputs.confidence else None,
    )


def _repeat(image: UInt8Image, size: Size) -> UInt8Image:
    """Return an image at half resolution with every pixel repeated 2x2, cropped to size."""
    height, width = image.shape
    doubled = resize_labels(image, (2 * height, 2 * width))
    # Odd sizes only: cropping leaves a view with gaps, and messages want none.
    return np.ascontiguousarray(doubled[: size[0], : size[1]])


def mode_of(visible: object | None, thermal: object | None) -> str:
    """Return the mode of ``MODES`` for the images that are there, at least one."""
    if visible is None:
        return 'thermal_only'
    return 'visible_only' if thermal is None else 'fusion'


def input_names(mode: str) -> tuple[str, ...]:
    """Return the names of the images that a mode takes, in order."""
    return ('visible', 'thermal') if mode == 'fusion' else (mode.partition('_')[0],)


class Engine(Protocol):
    """
    Computes fused image, labels and confidence of one pair of registered images.

    Attributes:
        backend: what computes, e.g. ``'torch'``, ``'opencv'``.
        device: where, e.g. ``'cpu'``, ``'cuda:0'``.
        weights_id: short identification of the weights.
        classes: the class table of the labels.
        is_classical: True if no network is behind it.

    """

    backend: str
    device: str
    weights_id: str
    classes: ClassTable
    is_classical: bool

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what a user should know about how it was set up, one sentence each."""

    def infer(
        self, visible: UInt8Image | None, thermal: UInt8Image | None, outputs: Outputs
    ) -> Prediction:
        """
        Compute the wanted outputs.

        Args:
            visible: uint8 [H,W,3] RGB, or None if there is none.
            thermal: uint8 [H,W] on the same grid, or None; at least one image is given.
            outputs: what to compute.

        Returns:
            Fresh arrays of the input's height and width, None for what is not wanted. An overlay
            is painted by engines on a GPU only, without legend; the predictor paints others.

        """

    def why_not(self, mode: str) -> str:
        """Return why a mode of ``MODES`` cannot be computed, '' if it can."""

    def close(self) -> None:
        """Free memory and device resources; nothing may be computed afterwards."""


class PreparingEngine(Engine, Protocol):
    """
    An engine that can make one mode ready in a thread while another thread computes another one.

    Attributes:
        prepares: whether it does so.

    """

    prepares: bool

    def prepare(self, mode: str, size: Size) -> None:
        """
        Make a mode ready, so that its first image costs no more than the others.

        Args:
            mode: one of ``MODES``.
            size: (height, width) of the images to come.

        Raises:
            ModeError: it cannot be computed.
            ImageError: it cannot at this size.

        """


class RegisteringEngine(Engine, Protocol):
    """
    An engine that registers the thermal image and paints on its device, where that costs less.

    Attributes:
        registers: whether it does so at the moment.

    """

    registers: bool

    def infer_unregistered(
        self, visible: UInt8Image | None, thermal: Unregistered, outputs: Outputs
    ) -> Prediction:
        """
        Compute the wanted outputs from a thermal image as it was received.

        Args:
            visible: uint8 [H,W,3] RGB, or None if there is none.
            thermal: uint8 [h,w] and where its pixels belong.
            outputs: what to compute.

        """


class TensorEngine(Engine, Protocol):
    """
    An engine of torch, whose results may stay on its device.

    Attributes:
        takes_tensors: whether it does so at the moment.

    """

    takes_tensors: bool

    def infer_tensors(
        self, visible: Tensor | None, thermal: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Return fused images, labels and confidence, without waiting for the device.

        Args:
            visible: uint8 [B,H,W,3] RGB, or None if there is none.
            thermal: uint8 [B,H,W] on the same grid, or None; at least one is given.

        Returns:
            uint8 [B,H,W,3], [B,H,W] and [B,H,W].

        """


def takes_tensors(engine: Engine) -> TypeGuard[TensorEngine]:
    """Return whether an engine takes tensors."""
    return bool(getattr(engine, 'takes_tensors', False))


def prepares(engine: Engine) -> TypeGuard[PreparingEngine]:
    """Return whether an engine makes modes ready beside what it computes."""
    return bool(getattr(engine, 'prepares', False))


def registers(engine: Engine) -> TypeGuard[RegisteringEngine]:
    """Return whether an engine takes thermal images as they were received."""
    return bool(getattr(engine, 'registers', False))
