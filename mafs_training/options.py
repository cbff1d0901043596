"""All options of a training run as dataclasses; their defaults and limits are the only ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from mafs_training.augment import AugmentOptions
from mafs_training.fairness import WeightingOptions
from mafs_training.limits import bounded
from mafs_training.losses.fusion import FusionOptions
from mafs_training.masking import MaskOptions

SEGMENTERS = ('fresh', 'mafs', 'torch', 'torchscript', 'onnx')
PRECISIONS = {'32': '32-true', 'bf16': 'bf16-mixed', '16': '16-mixed'}


@dataclass
class ModelOptions:
    """
    Which network is trained.

    Attributes:
        variant: architecture: mafs_t, mafs_s or mafs_b.
        classes: class table: mfnet, msrs, fmb, pst900 or a YAML file; empty: that of the layout
            of the sources.
        init: weights to start from (.safetensors or a checkpoint of mafs-train); empty: none.
        overrides: fields of the architecture to replace.
        only: parts of the network that are trained, e.g. fusion_decoder; the others keep their
            weights and statistics. Empty: all.

    """

    variant: str = 'mafs_t'
    classes: str = ''
    init: str = ''
    overrides: dict[str, int | str | list[int]] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)


@dataclass
class DataOptions:
    """
    What is trained on.

    Attributes:
        train: sources, e.g. msrs:/data/MSRS or generic:/data/mine?labels=label&weight=2.
        val: sources of the validation; empty: no validation.
        crop: side of a training crop, pixels, a multiple of 32.
        batch: crops per step and process.
        scale: range of magnification of the crops.
        labelled_fraction: share of each batch with labels, 0 or 1: none or all, else at least one
            of each kind; -1: as they come.
        focus: probability that a crop is placed on an object of a random class.
        workers: loader processes; 0 is best on a CPU, where a crop costs 2 ms.
        threads: files decoded at a time when the run starts.

    """

    train: list[str] = field(default_factory=list)
    val: list[str] = field(default_factory=list)
    crop: int = bounded(256, low=32, multiple=32)
    batch: int = bounded(8, low=1)
    scale: tuple[float, float] = bounded((0.75, 1.5), above=0, ascending=True)
    labelled_fraction: float = bounded(
        -1.0, low=0, high=1, apart=-1, apart_means='pairs as they come'
    )
    focus: float = bounded(0.0, low=0, high=1)
    workers: int = bounded(0, low=0)
    threads: int = bounded(2, low=1, high=1024)


@dataclass
class OptimOptions:
    """
    AdamW with warm-up and cosine.

    Attributes:
        lr: largest learning rate.
        weight_decay: of matrices and kernels; biases and normalisation have none.
        warmup_steps: steps of the linear ramp.
        min_lr: learning rate at the end, share of ``lr``.
        clip_norm: largest norm of the gradient; 0: no limit.
        fusion_decoder_lr: learning rate of a pyramid decoder, share of ``lr``: it starts from a
            good fusion, which full steps of Adam would first destroy.

    """

    lr: float = bounded(1e-3, above=0)
    weight_decay: float = bounded(0.02, low=0)
    warmup_steps: int = bounded(200, low=0)
    min_lr: float = bounded(0.01, low=0, high=1)
    clip_norm: float = bounded(5.0, low=0)
    fusion_decoder_lr: float = bounded(0.1, low=0)


@dataclass
class TrainerOptions:
    """
    How the run is carried out.

    Attributes:
        out: folder of the run: checkpoints, weights, logs, panels.
        steps: optimiser steps of the whole run.
        steps_per_epoch: steps between validations and checkpoints.
        stop_epochs: end this call after that many epochs, to be resumed later; 0: at the end.
        accumulate: batches per optimiser step.
        seed: of everything random.
        accelerator: auto, cpu or gpu.
        devices: number of processes, one device each.
        precision: 32, bf16 or 16.
        sync_batchnorm: normalise over all processes.
        ema: decay of the averaged weights, which are validated and exported.
        compile: compile the network: pays on a GPU and in long runs.
        channels_last: memory format of the network.
        threads: torch threads; 0: torch's choice.
        resume: checkpoint to continue, or 'auto' for the last one in ``out``; empty: a new run.
        checkpoint_minutes: time between checkpoints within an epoch; 0: after every step.
        monitor: metric that decides the best checkpoint; empty: the stage's own.
        panels_every: steps between sample panels; 0: none.
        panels: number of samples in a panel.
        log_every: steps between lines in the logs.
        progress: show the progress bar; in a log file there is a line per epoch instead.
        dry_run: a few steps on tiny synthetic data, to see that everything works.

    """

    out: str = 'out/train'
    steps: int = bounded(4000, low=1)
    steps_per_epoch: int = bounded(250, low=1)
    stop_epochs: int = bounded(0, low=0)
    accumulate: int = bounded(1, low=1)
    seed: int = bounded(0, low=0, high=2**32 - 1)
    accelerator: str = bounded('auto', choices=('auto', 'cpu', 'gpu', 'cuda', 'mps'))
    devices: int = bounded(1, low=1)
    precision: str = bounded('32', choices=PRECISIONS)
    sync_batchnorm: bool = False
    ema: float = bounded(0.998, low=0, below=1)
    compile: bool = False
    channels_last: bool = True
    threads: int = bounded(0, low=0, high=1024)
    resume: str = ''
    checkpoint_minutes: float = bounded(10.0, low=0)
    monitor: str = ''
    panels_every: int = bounded(500, low=0)
    panels: int = bounded(4, low=1)
    log_every: int = bounded(20, low=1)
    progress: bool = True
    dry_run: bool = False


@dataclass
class DropoutOptions:
    """
    Modality dropout, drawn per sample; never both.

    Attributes:
        visible: probability that the visible image is absent.
        thermal: probability that the thermal image is absent.

    """

    visible: float = 0.08
    thermal: float = 0.08

    def __post_init__(self) -> None:
        if min(self.visible, self.thermal) < 0 or self.visible + self.thermal > 1:
            raise ValueError(
                'modality dropout: expected visible, thermal >= 0 and a sum <= 1, '
                f'got {self.visible} and {self.thermal}'
            )


@dataclass
class MAEOptions:
    """
    Stage I.

    Attributes:
        decoder_width: channels of the light decoders.
        intensity: weight of the intensity term.
        gradient: weight of the gradient term.
        visible_weight: weight of pixels that were not hidden.

    """

    decoder_width: int = bounded(48, low=1)
    intensity: float = bounded(5.0, low=0)
    gradient: float = bounded(5.0, low=0)
    visible_weight: float = bounded(0.1, low=0, high=1)


@dataclass
class SegmentationOptions:
    """
    Supervised segmentation loss.

    Attributes:
        ohem_threshold: probability above which a pixel counts as learnt.
        ohem_min_kept: share of labelled pixels that is always kept.
        region: lovasz, dice or none.
        region_weight: weight of that term.
        stage: weight of the cross-entropy of the decoder stages.
        binary: weight of the foreground loss.
        boundary: weight of the boundary loss.
        class_weighting: none, or enet for weights 1 / ln(1.1 + share of the class).

    """

    ohem_threshold: float = bounded(0.7, above=0, high=1)
    ohem_min_kept: float = bounded(0.0625, above=0, high=1)
    region: str = bounded('lovasz', choices=('lovasz', 'dice', 'none'))
    region_weight: float = bounded(0.5, low=0)
    stage: float = bounded(0.4, low=0)
    binary: float = bounded(0.25, low=0)
    boundary: float = bounded(0.25, low=0)
    class_weighting: str = bounded('enet', choices=('enet', 'none'))


@dataclass
class SegmenterOptions:
    """
    The segmentation network on the fused image: teacher, pixel-level branch.

    Attributes:
        kind: fresh (trained along), mafs (weights or a checkpoint of this project), torch (any
            network), torchscript or onnx (a file that holds a network).
        weights: file of the weights; a state_dict for torch.
        factory: for torch, module:callable that builds the network.
        class_map: for others than mafs, our class id per output channel, -1 for none; empty: the
            same ids.
        mean: for others than mafs, subtracted from the RGB image in 0..1.
        std: for others than mafs, divisor after that.
        trainable: whether loaded weights are trained further.
        width: channels of a fresh network's first level.

    """

    kind: str = bounded('fresh', choices=SEGMENTERS)
    weights: str = ''
    factory: str = ''
    class_map: list[int] = field(default_factory=list)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = bounded((0.229, 0.224, 0.225), above=0)
    trainable: bool = False
    width: int = bounded(32, low=1)


@dataclass
class TeacherOptions:
    """
    What the teacher does in stage II.

    Attributes:
        enabled: train with it.
        weights: a segmenter that was trained before, frozen: .safetensors or .ckpt of this
            project, TorchScript (.pt) or ONNX (.onnx); empty: what the segmenter's options say.
        consistency: weight of student-to-teacher consistency.
        temperature: softens both.
        ramp_steps: steps over which the consistency grows.
        shape_fusion: share of the teacher's gradient that reaches the fused image, 0..1.

    """

    enabled: bool = True
    weights: str = ''
    consistency: float = bounded(0.5, low=0)
    temperature: float = bounded(2.0, above=0)
    ramp_steps: int = bounded(500, low=0)
    shape_fusion: float = bounded(1.0, low=0, high=1)


@dataclass
class SSVIFOptions:
    """
    Self-supervised stage.

    Attributes:
        mode: classes (logits of both branches are compared; needs labels or a loaded
            segmenter) or prototypes (no labels: balanced assignment).
        stage1_steps: steps before the branches are compared.
        ramp_steps: steps over which that weight grows.
        ratio: wished share of the consistency relative to the other losses.
        maximum: bound of the dynamic weight; 0: fusion-only baseline.
        temperature: softens both branches in mode classes.
        confidence: least top probability that teaches the other branch.
        representation: weight of the two-view loss of each branch in mode prototypes.
        prototypes: number of prototypes.
        embedding: channels of the embeddings.
        epsilon: entropy of the balanced assignment.
        distil: weight of the loaded segmenter's teaching in stage 1 of mode classes.

    """

    mode: str = bounded('classes', choices=('classes', 'prototypes'))
    stage1_steps: int = bounded(1000, low=0)
    ramp_steps: int = bounded(500, low=0)
    ratio: float = bounded(0.25, low=0)
    maximum: float = bounded(5.0, low=0)
    temperature: float = bounded(1.0, above=0)
    confidence: float = bounded(0.5, low=0, high=1)
    representation: float = bounded(0.5, low=0)
    prototypes: int = bounded(32, low=2)
    embedding: int = bounded(64, low=1)
    epsilon: float = bounded(0.05, above=0)
    distil: float = bounded(1.0, low=0)


@dataclass
class MAEConfig:
    """Options of ``mafs-train mae``."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    dropout: DropoutOptions = field(default_factory=DropoutOptions)
    mask: MaskOptions = field(default_factory=MaskOptions)
    mae: MAEOptions = field(default_factory=MAEOptions)


@dataclass
class JointConfig:
    """Options of ``mafs-train joint``."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    dropout: DropoutOptions = field(default_factory=DropoutOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)
    segmenter: SegmenterOptions = field(default_factory=SegmenterOptions)
    teacher: TeacherOptions = field(default_factory=TeacherOptions)
    weighting: WeightingOptions = field(default_factory=WeightingOptions)


@dataclass
class SSVIFConfig:
    """Options of ``mafs-train ssvif``."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    dropout: DropoutOptions = field(default_factory=DropoutOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)
    segmenter: SegmenterOptions = field(default_factory=SegmenterOptions)
    weighting: WeightingOptions = field(default_factory=lambda: WeightingOptions(kind='fixed'))
    ssvif: SSVIFOptions = field(default_factory=SSVIFOptions)


StageConfig = MAEConfig | JointConfig | SSVIFConfig
CONFIGS: dict[str, type[StageConfig]] = {
    'mae': MAEConfig,
    'joint': JointConfig,
    'ssvif': SSVIFConfig,
}
