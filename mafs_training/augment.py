"""
Joint augmentation of a batch, on the device of the batch.

kornia does the pixel work: it is maintained, needs no second OpenCV, treats a whole batch at once
and runs on the accelerator; albumentations is about four times faster per core, but no longer
maintained. Only kornia's functions are used, with parameters drawn here: geometry once for both
images and the label, photometry per modality, all of it a function of the random state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from mafs_model.classes import IGNORE_INDEX
from mafs_training.limits import bounded
from mafs_training.renderings import render, RenderingOptions
import torch
from torch import Tensor
import torch.nn.functional as F

Batch = dict[str, Tensor | list[str]]


@dataclass
class AugmentOptions:
    """
    What is changed, and how often.

    Attributes:
        enabled: switches all of it.
        flip: probability of a horizontal mirror image.
        affine: probability of a small rotation of the whole batch.
        rotate_deg: largest rotation, degrees.
        brightness: largest change of the visible brightness, share of full scale.
        contrast: largest relative change of the visible contrast.
        saturation: largest relative change of the visible saturation.
        night: probability that the visible image is darkened as at night.
        night_gamma: range of the exponent of the darkening.
        night_gain: range of the factor after it.
        visible_noise: largest standard deviation of noise in the visible image.
        thermal_gain: largest relative change of the thermal gain.
        thermal_offset: largest change of the thermal level, share of full scale.
        thermal_invert: probability that the polarity is inverted (black-hot cameras).
        thermal_noise: largest standard deviation of noise in the thermal image.
        misalign_px: largest shift of the thermal input against its targets, pixels; 0 for none.
        rendering: how often an image becomes that of another camera.

    """

    enabled: bool = True
    flip: float = bounded(0.5, low=0, high=1)
    affine: float = bounded(0.25, low=0, high=1)
    rotate_deg: float = bounded(6.0, low=0, high=180)
    brightness: float = bounded(0.1, low=0, high=1)
    contrast: float = bounded(0.2, low=0, high=1)
    saturation: float = bounded(0.3, low=0, high=1)
    night: float = bounded(0.2, low=0, high=1)
    night_gamma: tuple[float, float] = bounded((1.2, 2.2), above=0, ascending=True)
    night_gain: tuple[float, float] = bounded((0.4, 0.9), above=0, ascending=True)
    visible_noise: float = bounded(0.02, low=0, high=1)
    thermal_gain: float = bounded(0.2, low=0, high=1)
    thermal_offset: float = bounded(0.08, low=0, high=1)
    thermal_invert: float = bounded(0.0, low=0, high=1)
    thermal_noise: float = bounded(0.02, low=0, high=1)
    misalign_px: float = bounded(0.0, low=0)
    rendering: RenderingOptions = field(default_factory=RenderingOptions)


def _uniform(batch: int, low: float, high: float, like: Tensor) -> Tensor:
    """Draw one number per sample on the CPU, so that every device draws alike."""
    return (torch.rand(batch) * (high - low) + low).to(like)


def _choose(batch: int, probability: float, like: Tensor) -> Tensor:
    """Draw samples with the given probability: bool [B,1,1,1]."""
    return (torch.rand(batch) < probability).view(-1, 1, 1, 1).to(like.device)


def _geometry(
    visible: Tensor, thermal: Tensor, label: Tensor, options: AugmentOptions, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    from kornia.geometry.transform import get_affine_matrix2d, warp_affine

    batch, _, height, width = visible.shape
    flip = _choose(batch, options.flip, visible)
    visible = torch.where(flip, visible.flip(-1), visible)
    thermal = torch.where(flip, thermal.flip(-1), thermal)
    label = torch.where(flip[:, 0], label.flip(-1), label)
    if float(torch.rand(())) < options.affine:
        angle = _uniform(batch, -options.rotate_deg, options.rotate_deg, visible)
        centre = visible.new_tensor([(width - 1) / 2, (height - 1) / 2]).expand(batch, 2)
        # enlarge so far that no corner of the result lies outside the image
        largest = angle.abs().max().item() * math.pi / 180
        zoom = math.cos(largest) + math.sin(largest)
        matrix = get_affine_matrix2d(
            torch.zeros_like(centre), centre, torch.full_like(centre, zoom), angle
        )[:, :2]
        both = warp_affine(
            torch.cat([visible, thermal], 1),
            matrix,
            (height, width),
            mode='bilinear',
            padding_mode='reflection',
            align_corners=True,
        )
        visible, thermal = both[:, :3], both[:, 3:]
        # shifted by one, so that zeros of the padding become ignored pixels
        ids = (
            warp_affine(
                (label + 1)[:, None].float(),
                matrix,
                (height, width),
                mode='nearest',
                padding_mode='zeros',
                align_corners=True,
            )[:, 0]
            .round()
            .long()
        )
        label = torch.where(ids == 0, torch.full_like(ids, ignore_index), ids - 1)
    return visible, thermal, label


def _visible_photometry(visible: Tensor, options: AugmentOptions) -> Tensor:
    from kornia.enhance import adjust_brightness, adjust_contrast_with_mean_subtraction

    batch = visible.shape[0]
    visible = adjust_brightness(
        visible, _uniform(batch, -options.brightness, options.brightness, visible)
    )
    visible = adjust_contrast_with_mean_subtraction(
        visible, _uniform(batch, 1 - options.contrast, 1 + options.contrast, visible)
    )
    grey = visible.mean(1, keepdim=True)
    factor = _uniform(batch, 1 - options.saturation, 1 + options.saturation, visible)
    visible = torch.lerp(grey, visible, factor.view(-1, 1, 1, 1)).clamp(0, 1)
    night = _choose(batch, options.night, visible)
    gamma = _uniform(batch, *options.night_gamma, visible).view(-1, 1, 1, 1)
    gain = _uniform(batch, *options.night_gain, visible).view(-1, 1, 1, 1)
    if bool(night.any()):
        visible = torch.where(night, gain * visible.clamp_min(1e-4).pow(gamma), visible)
    return visible


def _thermal_photometry(thermal: Tensor, options: AugmentOptions) -> Tensor:
    batch = thermal.shape[0]
    gain = _uniform(batch, 1 - options.thermal_gain, 1 + options.thermal_gain, thermal)
    offset = _uniform(batch, -options.thermal_offset, options.thermal_offset, thermal)
    mean = thermal.mean((1, 2, 3), keepdim=True)
    thermal = mean + (thermal - mean) * gain.view(-1, 1, 1, 1) + offset.view(-1, 1, 1, 1)
    thermal = thermal.clamp(0, 1)
    if options.thermal_invert > 0:
        invert = _choose(batch, options.thermal_invert, thermal)
        thermal = torch.where(invert, 1 - thermal, thermal)
    return thermal


def _noise(image: Tensor, largest: float) -> Tensor:
    if largest <= 0:
        return image
    std = _uniform(image.shape[0], 0.0, largest, image).view(-1, 1, 1, 1)
    return (image + std * torch.randn(image.shape).to(image)).clamp(0, 1)


def _shift(image: Tensor, largest_px: float) -> Tensor:
    """Shift each image by up to ``largest_px`` pixels, borders replicated."""
    batch, _, height, width = image.shape
    theta = torch.eye(2, 3).repeat(batch, 1, 1).to(image)
    theta[:, 0, 2] = _uniform(batch, -largest_px, largest_px, image) * 2 / width
    theta[:, 1, 2] = _uniform(batch, -largest_px, largest_px, image) * 2 / height
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode='border', align_corners=False)


def augment(batch: Batch, options: AugmentOptions, ignore_index: int = IGNORE_INDEX) -> Batch:
    """
    Augment a batch with torch's global random state.

    Args:
        batch: 'visible' [B,3,H,W], 'thermal' [B,1,H,W] in 0..1, 'label' int64 [B,H,W].
        options: what to do.
        ignore_index: label of pixels that come from outside.

    Returns:
        New batch with the inputs; 'visible_target' and 'thermal_target', the same images without
        noise and misalignment, which a reconstruction should find; and 'thermal_aligned', the
        thermal input without misalignment, which a fused image should show. Noise stays in that:
        fusion passes on what the cameras saw, and a fusion loss against clean images would teach
        it to blur clean ones.

    """
    visible, thermal, label = (batch[key] for key in ('visible', 'thermal', 'label'))
    assert isinstance(visible, Tensor)
    assert isinstance(thermal, Tensor)
    assert isinstance(label, Tensor)
    result = dict(batch)
    if options.enabled:
        visible, thermal, label = _geometry(visible, thermal, label, options, ignore_index)
        visible = _visible_photometry(visible, options)
        thermal = _thermal_photometry(thermal, options)
        visible, thermal = render(visible, thermal, options.rendering)
    result |= {'visible_target': visible, 'thermal_target': thermal, 'label': label}
    aligned = thermal
    if options.enabled:
        visible = _noise(visible, options.visible_noise)
        aligned = thermal = _noise(thermal, options.thermal_noise)
        if options.misalign_px > 0:
            thermal = _shift(thermal, options.misalign_px)
    result |= {'visible': visible, 'thermal': thermal, 'thermal_aligned': aligned}
    return result


def photometric_view(
    visible: Tensor, thermal: Tensor, options: AugmentOptions
) -> tuple[Tensor, Tensor]:
    """Another photometric view of the same pixels, for losses that compare two views."""
    visible = _noise(_visible_photometry(visible, options), options.visible_noise)
    thermal = _noise(_thermal_photometry(thermal, options), options.thermal_noise)
    return visible, thermal
