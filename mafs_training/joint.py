"""Stage II: fusion and segmentation in one network, guided by a teacher on the fused image."""

from __future__ import annotations

from collections.abc import Mapping

from mafs_model.classes import IGNORE_INDEX
from mafs_model.network.config import MAFSConfig
from mafs_model.network.mafs import MAFS
from mafs_training.fairness import create_weighting
from mafs_training.losses import consistency_loss, fusion_loss
from mafs_training.options import JointConfig
from mafs_training.schedule import sigmoid_ramp
from mafs_training.stage import (
    Batch,
    columns,
    draw_presence,
    fusion_sources,
    Stage,
    StepResult,
)
from mafs_training.supervision import class_loss, segmentation_loss
from mafs_training.teacher import create_segmenter, gradient_share, resize_logits
import torch
from torch import Tensor


class JointStage(Stage):
    """
    Fusion, segmentation, teacher and consistency, weighted by fairness.

    Args:
        config: options.
        architecture: of the network.
        class_weights: per class [C], or None.
        ignore_index: label without class.

    Source: MAFS, stage II. The teacher's loss flows through the fused image into the fusion; the
        student's consistency does not flow into the teacher.

    """

    name = 'joint'
    monitor = 'val/miou'
    monitor_mode = 'max'
    class_weights: Tensor | None

    def __init__(
        self,
        config: JointConfig,
        architecture: MAFSConfig,
        class_weights: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        self.config, self.ignore_index = config, ignore_index
        self.register_buffer('class_weights', class_weights, persistent=False)
        tasks: tuple[str, ...] = ('fusion', 'segmentation')
        if config.teacher.enabled:
            tasks = (*tasks, 'teacher')
            self.teacher = create_segmenter(config.segmenter, architecture.num_classes)
        self.weighting = create_weighting(config.weighting, tasks)
        # labels alone: what counts nothing need not be computed
        weighting = config.weighting
        self.fusion_wanted = weighting.kind != 'fixed' or weighting.fixed.get('fusion', 1.0) > 0

    def training_step(self, network: MAFS, batch: Batch, step: int) -> StepResult:
        """Losses of all tasks that the batch has samples for."""
        options = self.config
        labels = batch['label']
        present = draw_presence(labels.shape[0], options.dropout, labels.device)
        out = network(
            batch['visible'],
            batch['thermal'],
            full_logits=False,
            visible_present=present[0],
            thermal_present=present[1],
        )
        losses: dict[str, Tensor | None] = {}
        logs: dict[str, Tensor] = {}
        losses['fusion'] = None
        if self.fusion_wanted:
            losses['fusion'], logs = fusion_loss(
                out.fused_luminance, *fusion_sources(batch, *present), options.fusion, labels
            )
        labelled = bool((labels != self.ignore_index).any())
        losses['segmentation'] = None
        if labelled and out.aux is not None:  # None: the decoder is kept as it is
            losses['segmentation'], terms = segmentation_loss(
                out.logits,
                out.aux,
                labels,
                options.segmentation,
                self.class_weights,
                self.ignore_index,
            )
            logs |= terms
        consistency = None
        if options.teacher.enabled:
            rgb = gradient_share(out.fused_rgb.float(), options.teacher.shape_fusion)
            teacher = self.teacher(rgb).logits
            losses['teacher'] = None
            if labelled:
                losses['teacher'], _ = class_loss(
                    teacher, labels, options.segmentation, self.class_weights, self.ignore_index
                )
            size = (out.logits.shape[-2], out.logits.shape[-1])
            consistency = consistency_loss(
                out.logits, resize_logits(teacher, size), options.teacher.temperature
            )
        total = self.weighting.combine(losses)
        if consistency is not None:
            logs['consistency'] = consistency.detach()
            ramp = sigmoid_ramp(step, options.teacher.ramp_steps)
            total = total + options.teacher.consistency * ramp * consistency
        tasks = {name: None if loss is None else loss.detach() for name, loss in losses.items()}
        logs |= {name: loss for name, loss in tasks.items() if loss is not None}
        return StepResult(total, logs, tasks)

    def after_step(self, tasks: Mapping[str, Tensor | None]) -> dict[str, float]:
        """Move the weights of the tasks."""
        self.weighting.update(tasks)
        return {f'weight_{name}': value for name, value in self.weighting.current().items()}

    def validate(self, network: MAFS, batch: Batch, index: int) -> dict[str, Tensor]:
        """Fusion loss of whole images."""
        out = network(batch['visible'], batch['thermal'], full_logits=False)
        loss, terms = fusion_loss(
            out.fused_luminance, *fusion_sources(batch), self.config.fusion, batch['label']
        )
        return {'fusion': loss, **terms}

    def logits(self, network: MAFS, batch: Batch) -> Tensor:
        """Class logits at full size."""
        return network(batch['visible'], batch['thermal']).logits

    def panel(self, network: MAFS, batch: Batch) -> Tensor:
        """Visible, thermal, fused image, predicted and true labels as grey levels."""
        out = network(batch['visible'], batch['thermal'])
        scale = max(1, out.logits.shape[1] - 1)
        predicted = out.logits.argmax(1).float() / scale
        truth = batch['label'].float()
        truth = torch.where(batch['label'] == self.ignore_index, 0.0, truth / scale)
        return columns(
            batch['visible'][0], batch['thermal'][0], out.fused_rgb[0], predicted[:1], truth[:1]
        )
