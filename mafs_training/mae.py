"""Stage I: masked autoencoding of the thermal-visible pair from its fused code."""

from __future__ import annotations

from collections.abc import Sequence

from mafs_model.network.config import MAFSConfig
from mafs_model.network.layers.convolution import ConvNormAct
from mafs_model.network.layers.padding import pad_to_multiple
from mafs_model.network.layers.resampling import CellConv, upsample
from mafs_model.network.mafs import MAFS
from mafs_training.losses import psnr, reconstruction_loss
from mafs_training.masking import apply_mask, complementary_masks
from mafs_training.options import MAEConfig
from mafs_training.stage import Batch, columns, draw_presence, Stage, StepResult
import torch
from torch import nn, Tensor


class ReconstructionDecoder(nn.Module):
    """
    Light decoder from the fused code to one image.

    Args:
        config: architecture of the network.
        channels: channels of the image.
        width: hidden channels.

    """

    def __init__(self, config: MAFSConfig, channels: int, width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(size, width, 1) for size in config.widths)
        self.mix = nn.Sequential(ConvNormAct(width, width), ConvNormAct(width, width))
        self.head = nn.Sequential(
            CellConv(width, channels, config.stem_stride), nn.PixelShuffle(config.stem_stride)
        )

    def forward(self, code: Sequence[Tensor]) -> Tensor:
        """Fused code, finest level first, to an image [B,channels,H,W] around mid grey."""
        x = self.lateral[-1](code[-1])
        for level, lateral in zip(reversed(code[:-1]), reversed(self.lateral[:-1]), strict=True):
            x = lateral(level) + upsample(x, 2)
        return self.head(self.mix(x)) + 0.5


class MAEStage(Stage):
    """
    Masked autoencoder on encoder and adaptive fusion modules.

    Args:
        config: options.
        architecture: of the network.

    Source: MAFS, stage I. Modality dropout is ours: it trains the embeddings of absent images.

    """

    name = 'mae'
    monitor = 'val/loss'

    def __init__(self, config: MAEConfig, architecture: MAFSConfig) -> None:
        super().__init__()
        self.options, self.mask, self.dropout = config.mae, config.mask, config.dropout
        self.stride = architecture.max_stride
        self.visible_decoder = ReconstructionDecoder(architecture, 3, config.mae.decoder_width)
        self.thermal_decoder = ReconstructionDecoder(architecture, 1, config.mae.decoder_width)

    def frozen(self, network: MAFS) -> list[nn.Module]:
        """Return the decoders of the network: they see no code in this stage."""
        return [network.progressive_fusion, network.fusion_decoder, network.segmentation_decoder]

    def compile(self, network: MAFS) -> None:  # type: ignore[override]
        """Compile encoder and fusion, which are called one by one."""
        network.encoder.compile()
        network.level_fusion.compile()

    def reconstruct(
        self,
        network: MAFS,
        visible: Tensor,
        thermal: Tensor,
        visible_present: Tensor | None = None,
        thermal_present: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct both images from (masked) inputs of any size."""
        height, width = visible.shape[-2:]
        levels = network.encoder(
            pad_to_multiple(visible, self.stride),
            pad_to_multiple(thermal, self.stride),
            visible_present=visible_present,
            thermal_present=thermal_present,
        )
        code = network.fuse(levels)
        return (
            self.visible_decoder(code)[..., :height, :width].float(),
            self.thermal_decoder(code)[..., :height, :width].float(),
        )

    def _masked(
        self, batch: Batch, generator: torch.Generator | None = None
    ) -> tuple[Tensor, ...]:
        visible, thermal = batch['visible'], batch['thermal']
        size = (visible.shape[-2], visible.shape[-1])
        masks = complementary_masks(visible.shape[0], size, self.mask, generator)
        visible_mask, thermal_mask = (mask.to(visible) for mask in masks)
        return (
            apply_mask(visible, visible_mask, self.mask.noise_std, generator),
            apply_mask(thermal, thermal_mask, self.mask.noise_std, generator),
            visible_mask,
            thermal_mask,
        )

    def _loss(
        self, prediction: Tensor, target: Tensor, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        # in single precision, as the fusion loss
        with torch.autocast(prediction.device.type, enabled=False):
            return reconstruction_loss(
                prediction.float(),
                target,
                mask,
                intensity=self.options.intensity,
                gradient=self.options.gradient,
                visible_weight=self.options.visible_weight,
            )

    def training_step(self, network: MAFS, batch: Batch, step: int) -> StepResult:
        """Mask, reconstruct, compare with the originals."""
        visible, thermal, visible_mask, thermal_mask = self._masked(batch)
        present = draw_presence(visible.shape[0], self.dropout, visible.device)
        # an absent image is hidden completely
        visible_mask = torch.where(present[0].view(-1, 1, 1, 1), visible_mask, 1.0)
        thermal_mask = torch.where(present[1].view(-1, 1, 1, 1), thermal_mask, 1.0)
        outputs = self.reconstruct(network, visible, thermal, *present)
        first, first_terms = self._loss(outputs[0], batch['visible_target'], visible_mask)
        second, second_terms = self._loss(outputs[1], batch['thermal_target'], thermal_mask)
        logs = {'visible': first.detach(), 'thermal': second.detach()}
        logs |= {f'visible_{key}': value for key, value in first_terms.items()}
        logs |= {f'thermal_{key}': value for key, value in second_terms.items()}
        return StepResult(first + second, logs)

    def validate(self, network: MAFS, batch: Batch, index: int) -> dict[str, Tensor]:
        """Loss with masks that are the same in every validation."""
        generator = torch.Generator().manual_seed(index)
        visible, thermal, visible_mask, thermal_mask = self._masked(batch, generator)
        outputs = self.reconstruct(network, visible, thermal)
        first, _ = self._loss(outputs[0], batch['visible'], visible_mask)
        second, _ = self._loss(outputs[1], batch['thermal'], thermal_mask)
        return {
            'loss': first + second,
            'psnr_visible': psnr(outputs[0], batch['visible']),
            'psnr_thermal': psnr(outputs[1], batch['thermal']),
        }

    def panel(self, network: MAFS, batch: Batch) -> Tensor:
        """Masked, reconstructed and original image of both modalities."""
        generator = torch.Generator().manual_seed(0)
        visible, thermal, _, _ = self._masked(batch, generator)
        outputs = self.reconstruct(network, visible, thermal)
        return columns(
            visible[0],
            outputs[0][0],
            batch['visible'][0],
            thermal[0],
            outputs[1][0],
            batch['thermal'][0],
        )
