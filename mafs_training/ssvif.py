"""Self-supervised stage: feature-level and pixel-level segmentation teach each other."""

from __future__ import annotations

from collections.abc import Mapping

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import ConfigError
from mafs_model.network.config import MAFSConfig
from mafs_model.network.mafs import MAFS, MAFSOutput
from mafs_training.assignment import (
    balanced_targets,
    prototype_usage,
    Prototypes,
    swapped_prediction_loss,
)
from mafs_training.augment import photometric_view
from mafs_training.fairness import create_weighting
from mafs_training.limits import check_limits
from mafs_training.losses import confidence_weight, consistency_loss, fusion_loss
from mafs_training.options import SSVIFConfig
from mafs_training.schedule import dynamic_weight
from mafs_training.stage import (
    Batch,
    columns,
    draw_presence,
    fusion_sources,
    Stage,
    StepResult,
)
from mafs_training.supervision import class_loss, segmentation_loss
from mafs_training.teacher import create_segmenter, resize_logits, SegmenterOutput
import torch
from torch import nn, Tensor


class FeatureTap:
    """Keeps the last output of a module; how the decoder's features are reached."""

    def __init__(self, module: nn.Module) -> None:
        self.value: Tensor | None = None
        self._handle = module.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.value = output

    def take(self) -> Tensor:
        """Return the output and forget it; RuntimeError if there is none."""
        if self.value is None:
            raise RuntimeError('the tapped module has not been run')
        value, self.value = self.value, None
        return value

    def remove(self) -> None:
        """Take the hook off the module."""
        self._handle.remove()


def embedding_head(channels: int, embedding: int) -> nn.Sequential:
    """Two 1x1 layers from features to embeddings."""
    return nn.Sequential(
        nn.Conv2d(channels, embedding, 1, bias=False),
        nn.BatchNorm2d(embedding),
        nn.ReLU(),
        nn.Conv2d(embedding, embedding, 1),
    )


class SSVIFStage(Stage):
    """
    Cross-segmentation consistency.

    In mode 'classes' both branches give class logits, anchored by labels (mixed runs) or by a
    loaded segmenter. In mode 'prototypes' there is neither: both branches give embeddings,
    compared with shared prototypes whose use is balanced, so that they cannot agree on nothing.

    Args:
        config: options.
        architecture: of the network.
        class_weights: per class [C], or None.
        ignore_index: label without class.

    Raises:
        ConfigError: a loaded segmenter in mode prototypes.

    Source: SSVIF: two stages, cross-segmentation consistency, dynamic weight. Stop-gradients,
        confidence weights and prototypes are ours (docs/method_training.md).

    """

    name = 'ssvif'
    class_weights: Tensor | None
    smoothed: Tensor

    def __init__(
        self,
        config: SSVIFConfig,
        architecture: MAFSConfig,
        class_weights: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        options = config.ssvif
        check_limits('ssvif', options)
        if options.mode == 'prototypes' and config.segmenter.kind != 'fresh':
            raise ConfigError(
                'ssvif.mode prototypes: expected segmenter.kind fresh, '
                f'got {config.segmenter.kind!r}; a loaded one has classes'
            )
        self.config, self.ignore_index = config, ignore_index
        self.prototypical = options.mode == 'prototypes'
        self.monitor = 'val/fusion' if self.prototypical else 'val/miou'
        self.monitor_mode = 'min' if self.prototypical else 'max'
        self.register_buffer('class_weights', class_weights, persistent=False)
        self.segmenter = create_segmenter(config.segmenter, architecture.num_classes)
        self.pretrained = config.segmenter.kind != 'fresh'
        self.weighting = create_weighting(config.weighting, ('fusion', 'segmentation', 'pixel'))
        # smoothed sum of the other losses and smoothed consistency; 0 before the first step
        self.register_buffer('smoothed', torch.zeros(2, dtype=torch.float64))
        self._tap: tuple[nn.Module, FeatureTap] | None = None
        if self.prototypical:
            self.feature_head = embedding_head(architecture.head_width, options.embedding)
            self.pixel_head = embedding_head(self.segmenter.channels, options.embedding)
            self.prototypes = Prototypes(options.embedding, options.prototypes)
            self.segmenter.classify.requires_grad_(False)

    def frozen(self, network: MAFS) -> list[nn.Module]:
        """Class heads, if there are no classes."""
        decoder = network.segmentation_decoder
        return (
            [decoder.classify, decoder.stage_heads, decoder.binary_head, decoder.boundary_head]
            if self.prototypical
            else []
        )

    def compile(self, network: MAFS) -> None:  # type: ignore[override]
        """Compile the network, unless its features are tapped."""
        if not self.prototypical:
            network.compile()

    def _tapped(self, network: MAFS) -> FeatureTap:
        """Return the tap of this network's decoder; a new network gets a new one."""
        module = network.segmentation_decoder.mix
        if self._tap is None or self._tap[0] is not module:
            if self._tap is not None:
                self._tap[1].remove()
            self._tap = (module, FeatureTap(module))
        return self._tap[1]

    def training_step(self, network: MAFS, batch: Batch, step: int) -> StepResult:
        """Fusion, supervised terms where there are labels, and the consistency of stage 2."""
        labels = batch['label']
        present = draw_presence(labels.shape[0], self.config.dropout, labels.device)
        tap = self._tapped(network) if self.prototypical else None
        out = network(
            batch['visible'],
            batch['thermal'],
            full_logits=False,
            visible_present=present[0],
            thermal_present=present[1],
        )
        pixel = self.segmenter(out.fused_rgb.float())
        losses: dict[str, Tensor | None] = {'segmentation': None, 'pixel': None}
        losses['fusion'], logs = fusion_loss(
            out.fused_luminance, *fusion_sources(batch, *present), self.config.fusion
        )
        if self.prototypical:
            assert tap is not None
            extra, cross, terms = self._prototype_terms(network, batch, tap, pixel)
        else:
            losses |= self._supervised(out, pixel, labels)
            extra, cross, terms = self._class_terms(out, pixel, step)
        logs |= terms
        total = self.weighting.combine(losses)
        if extra is not None:
            total = total + extra
        weight = self._dynamic_weight(step, total.detach(), cross.detach())
        logs |= {'cross': cross.detach(), 'cross_weight': cross.new_tensor(weight)}
        if weight > 0:
            total = total + weight * cross
        tasks = {name: None if loss is None else loss.detach() for name, loss in losses.items()}
        logs |= {name: loss for name, loss in tasks.items() if loss is not None}
        return StepResult(total, logs, tasks)

    def _supervised(
        self, out: MAFSOutput, pixel: SegmenterOutput, labels: Tensor
    ) -> dict[str, Tensor | None]:
        """Labelled pixels of a mixed run teach both branches."""
        if not bool((labels != self.ignore_index).any()):
            return {}
        losses: dict[str, Tensor | None] = {}
        if out.aux is not None:  # None: the decoder is kept as it is
            losses['segmentation'], _ = segmentation_loss(
                out.logits,
                out.aux,
                labels,
                self.config.segmentation,
                self.class_weights,
                self.ignore_index,
            )
        if not self.pretrained or self.config.segmenter.trainable:
            losses['pixel'], _ = class_loss(
                pixel.logits,
                labels,
                self.config.segmentation,
                self.class_weights,
                self.ignore_index,
            )
        return losses

    def _class_terms(
        self, out: MAFSOutput, pixel: SegmenterOutput, step: int
    ) -> tuple[Tensor | None, Tensor, dict[str, Tensor]]:
        """Distillation of stage 1, cross consistency, and their agreement."""
        options = self.config.ssvif
        size = (out.logits.shape[-2], out.logits.shape[-1])
        feature, other = out.logits, resize_logits(pixel.logits, size)
        to_feature = consistency_loss(
            feature, other, options.temperature, confidence_weight(other, options.confidence)
        )
        to_pixel = consistency_loss(
            other, feature, options.temperature, confidence_weight(feature, options.confidence)
        )
        distil = None
        if self.pretrained and step < options.stage1_steps and options.distil > 0:
            distil = options.distil * to_feature
        agreement = (feature.argmax(1) == other.argmax(1)).float().mean().detach()
        return distil, (to_feature + to_pixel) / 2, {'agreement': agreement}

    def _prototype_terms(
        self, network: MAFS, batch: Batch, tap: FeatureTap, pixel: SegmenterOutput
    ) -> tuple[Tensor | None, Tensor, dict[str, Tensor]]:
        """Two-view loss of each branch, cross consistency, and signs of collapse."""
        options = self.config.ssvif
        assert pixel.features is not None
        feature = self.prototypes.cosine(self.feature_head(tap.take()).float())
        other = self.prototypes.cosine(self.pixel_head(pixel.features).float())
        temperature = self.prototypes.temperature
        feature_targets = balanced_targets(feature, options.epsilon)
        other_targets = balanced_targets(other, options.epsilon)
        cross = (
            swapped_prediction_loss(
                feature / temperature, other_targets, _certainty(other_targets, options.confidence)
            )
            + swapped_prediction_loss(
                other / temperature,
                feature_targets,
                _certainty(feature_targets, options.confidence),
            )
        ) / 2
        representation = None
        if options.representation > 0:
            visible, thermal = photometric_view(
                batch['visible_target'], batch['thermal_target'], self.config.augment
            )
            again = network(visible, thermal, full_logits=False)
            second = self.prototypes.cosine(self.feature_head(tap.take()).float())
            rgb = self.segmenter(again.fused_rgb.float()).features
            second_other = self.prototypes.cosine(self.pixel_head(rgb).float())
            representation = (
                options.representation
                * sum(
                    swapped_prediction_loss(b / temperature, a_targets)
                    + swapped_prediction_loss(
                        a / temperature, balanced_targets(b, options.epsilon)
                    )
                    for a, a_targets, b in (
                        (feature, feature_targets, second),
                        (other, other_targets, second_other),
                    )
                )
                / 4
            )
        else:
            tap.value = None
        logs = {
            'agreement': (feature.argmax(1) == other.argmax(1)).float().mean().detach(),
            'usage_feature': prototype_usage(feature / temperature),
            'usage_pixel': prototype_usage(other / temperature),
        }
        if representation is not None:
            logs['representation'] = representation.detach()
        return representation, cross, logs

    def _dynamic_weight(self, step: int, reference: Tensor, cross: Tensor) -> float:
        """Weight of the consistency now; follows the smoothed losses."""
        options = self.config.ssvif
        values = torch.stack([reference, cross]).double().to(self.smoothed.device)
        first = bool((self.smoothed == 0).all())
        self.smoothed.copy_(values if first else self.smoothed.lerp(values, 0.02))
        if step < options.stage1_steps:
            return 0.0
        fusion, consistency = self.smoothed.tolist()
        return dynamic_weight(
            step - options.stage1_steps,
            options.ramp_steps,
            fusion,
            consistency,
            options.ratio,
            options.maximum,
        )

    def after_step(self, tasks: Mapping[str, Tensor | None]) -> dict[str, float]:
        """Move the weights of the tasks."""
        self.weighting.update(tasks)
        return {f'weight_{name}': value for name, value in self.weighting.current().items()}

    def validate(self, network: MAFS, batch: Batch, index: int) -> dict[str, Tensor]:
        """Fusion loss of whole images, and agreement of the branches."""
        out = network(batch['visible'], batch['thermal'], full_logits=False)
        loss, terms = fusion_loss(out.fused_luminance, *fusion_sources(batch), self.config.fusion)
        result = {'fusion': loss, **terms}
        if not self.prototypical:
            size = (out.logits.shape[-2], out.logits.shape[-1])
            pixel = resize_logits(self.segmenter(out.fused_rgb).logits, size)
            result['agreement'] = (out.logits.argmax(1) == pixel.argmax(1)).float().mean()
        return result

    def logits(self, network: MAFS, batch: Batch) -> Tensor | None:
        """Class logits at full size, if there are classes."""
        if self.prototypical:
            return None
        return network(batch['visible'], batch['thermal']).logits

    def panel(self, network: MAFS, batch: Batch) -> Tensor:
        """Visible, thermal, fused image, and both predictions as grey levels."""
        out = network(batch['visible'], batch['thermal'])
        size = (out.logits.shape[-2], out.logits.shape[-1])
        pixel = resize_logits(self.segmenter(out.fused_rgb).logits, size)
        scale = max(1, out.logits.shape[1] - 1)
        return columns(
            batch['visible'][0],
            batch['thermal'][0],
            out.fused_rgb[0],
            out.logits.argmax(1)[:1] / scale,
            pixel.argmax(1)[:1] / scale,
        )


def _certainty(targets: Tensor, threshold: float) -> Tensor:
    """Top probability of each pixel's target [B,H,W], 0 below the threshold."""
    top = targets.amax(1)
    return top * (top >= threshold)
