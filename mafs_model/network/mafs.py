"""
The MAFS network: a visible and a thermal image in, a fused image and semantic logits out.

B batch, C classes, H and W the height and width of the images, axes always in that order.
Source: Wang et al., "MAFS: Masked Autoencoder for Infrared-Visible Image Fusion and Semantic
Segmentation", arXiv 2509.11817. docs/method.md gives each equation and where this differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mafs_model.network.config import MAFSConfig
from mafs_model.network.encoder import LevelFeatures, TwoStreamEncoder
from mafs_model.network.fusion import LevelFusion, ProgressiveFusion
from mafs_model.network.fusion_decoder import create_fusion_decoder
from mafs_model.network.layers.colour import luminance, replace_luminance
from mafs_model.network.layers.padding import pad_to_multiple
from mafs_model.network.layers.saturation import saturate
from mafs_model.network.segmentation_decoder import AuxiliaryLogits, SegmentationDecoder
import torch
from torch import nn, Tensor
import torch.nn.functional as F

MIN_SIZE_PX = 32


@dataclass(frozen=True)
class MAFSOutput:
    """
    Result of one forward pass.

    Attributes:
        fused_luminance: ``[B, 1, H, W]`` in 0..1.
        fused_rgb: ``[B, 3, H, W]`` in 0..1; grey where no visible image was given.
        logits: ``[B, C, H, W]``, or ``[B, C, ceil(H / 2), ceil(W / 2)]`` with
            ``full_logits=False``.
        modalities: which inputs were used, of ``('visible', 'thermal')``.
        aux: what else is supervised in training mode, of the padded image, else None.

    """

    fused_luminance: Tensor
    fused_rgb: Tensor
    logits: Tensor
    modalities: tuple[str, ...]
    aux: AuxiliaryLogits | None = None


class MAFS(nn.Module):
    """
    Two-stream encoder, fusion per level, progressive fusion, and a decoder for each task.

    Args:
        config: architecture, see :func:`mafs_model.network.config.create_config`.

    """

    def __init__(self, config: MAFSConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = TwoStreamEncoder(config)
        self.level_fusion = LevelFusion(config)
        self.progressive_fusion = ProgressiveFusion(config)
        self.fusion_decoder = create_fusion_decoder(config)
        self.segmentation_decoder = SegmentationDecoder(config)

    def fuse(self, levels: Sequence[LevelFeatures]) -> list[Tensor]:
        """Blend both streams at every level: the fused code, finest first."""
        return self.level_fusion(levels)

    def forward(
        self,
        visible: Tensor | None,
        thermal: Tensor | None,
        *,
        full_logits: bool = True,
        visible_present: Tensor | None = None,
        thermal_present: Tensor | None = None,
    ) -> MAFSOutput:
        """
        Fuse and segment.

        Args:
            visible: RGB image ``[B, 3, H, W]``, float in 0..1, or None if absent.
            thermal: thermal image ``[B, 1, H, W]``, float in 0..1, or None if absent.
            full_logits: enlarge the logits to H x W; else they keep half the resolution.
            visible_present: bool ``[B]``: samples whose visible image counts (modality dropout
                inside a batch); None means all. Every sample needs one modality.
            thermal_present: the same for the thermal image.

        Returns:
            The fused image, the logits and what they were made from.

        Raises:
            ValueError: if both images are absent or their shapes do not fit.

        """
        height, width = _check_images(visible, thermal)
        multiple = self.config.max_stride
        visible = None if visible is None else pad_to_multiple(visible, multiple)
        thermal = None if thermal is None else pad_to_multiple(thermal, multiple)

        levels = self.encoder(
            visible, thermal, visible_present=visible_present, thermal_present=thermal_present
        )
        fused_code = self.fuse(levels)
        modulated = self.progressive_fusion(fused_code)

        rgb, old, visible_y, thermal_y = _pixel_sources(
            visible, thermal, visible_present, thermal_present
        )
        fused = self.fusion_decoder(modulated, visible_y, thermal_y)
        fused = saturate(fused) if self.training else fused.clamp(0.0, 1.0)
        fused_rgb = replace_luminance(rgb, old, fused)

        logits, aux = self.segmentation_decoder(fused_code, modulated[self.config.head_level])
        logits = _crop_logits(logits, height, width, full_logits)
        used = tuple(
            name
            for name, image in (('visible', visible), ('thermal', thermal))
            if image is not None
        )
        return MAFSOutput(
            fused[..., :height, :width], fused_rgb[..., :height, :width], logits, used, aux
        )


def _check_images(visible: Tensor | None, thermal: Tensor | None) -> tuple[int, int]:
    """Check channels and sizes; return (height, width)."""
    images = []
    for name, image, channels in (('visible', visible, 3), ('thermal', thermal, 1)):
        if image is None:
            continue
        if image.ndim != 4 or image.shape[1] != channels:
            raise ValueError(
                f'{name} has shape {tuple(image.shape)}, expected [B, {channels}, H, W]'
            )
        if image.shape[2] < MIN_SIZE_PX or image.shape[3] < MIN_SIZE_PX:
            raise ValueError(
                f'{name} is {image.shape[3]}x{image.shape[2]} pixels, expected at '
                f'least {MIN_SIZE_PX}x{MIN_SIZE_PX}'
            )
        images.append(image)
    if not images:
        raise ValueError('visible and thermal are both None, expected at least one image')
    first, last = images[0].shape, images[-1].shape
    if first[0] != last[0] or first[2:] != last[2:]:
        raise ValueError(
            f'visible has shape {tuple(first)} and thermal {tuple(last)}, expected '
            'the same batch and size'
        )
    return first[2], first[3]


def _pixel_sources(
    visible: Tensor | None,
    thermal: Tensor | None,
    visible_present: Tensor | None,
    thermal_present: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """
    Return the colour image, its luminance, and both luminance sources of the decoder.

    A missing source is replaced by the other one, so that a blend of both is that one.
    """
    if visible is None:
        assert thermal is not None, 'checked at the door'
        return thermal.expand(-1, 3, -1, -1), thermal, thermal, thermal
    visible_y = luminance(visible)
    if thermal is None:
        return visible, visible_y, visible_y, visible_y
    rgb, old = visible, visible_y
    if visible_present is not None:
        seen = visible_present.view(-1, 1, 1, 1)
        visible_y = torch.where(seen, visible_y, thermal)
        rgb, old = torch.where(seen, visible, thermal), visible_y
    if thermal_present is not None:
        thermal = torch.where(thermal_present.view(-1, 1, 1, 1), thermal, visible_y)
    return rgb, old, visible_y, thermal


def _crop_logits(logits: Tensor, height: int, width: int, full: bool) -> Tensor:
    """Remove the padding from half-resolution logits, after enlarging them if wanted."""
    stride = SegmentationDecoder.LOGITS_STRIDE
    if full:
        logits = F.interpolate(
            logits, scale_factor=float(stride), mode='bilinear', align_corners=False
        )
        return logits[..., :height, :width]
    # Rounded up; the usual double negation truncates wrongly in a traced graph.
    return logits[..., : (height + stride - 1) // stride, : (width + stride - 1) // stride]
