"""Segmentation of the fused RGB image: teacher of stage II, pixel-level branch of SSVIF."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.network.encoder import Stem
from mafs_model.network.layers.convolution import ConvNormAct, ResidualBlock
from mafs_model.network.layers.padding import pad_to_multiple
from mafs_model.network.layers.resampling import CellConv
from mafs_model.network.mafs import MAFS
from mafs_model.network.segmentation_decoder import PixelDecoder
from mafs_training.limits import check_limits
from mafs_training.options import SegmenterOptions
import torch
from torch import nn, Tensor
import torch.nn.functional as F

_STRIDE = 32


class SegmenterOutput(NamedTuple):
    """
    Result of a segmenter.

    Attributes:
        logits: [B,C,h,w], any resolution.
        features: [B,D,H/4,W/4] for embeddings, or None.

    """

    logits: Tensor
    features: Tensor | None


class FusedImageSegmenter(nn.Module):
    """
    Small encoder-decoder on one RGB image, trained along with the network.

    Args:
        num_classes: number of classes C.
        width: channels of the first level; the deeper ones have 2, 3 and 4 times as many.

    Source: MAFS cascades its fusion network with a published segmentation backbone; ours is a
        small one, so that training from scratch needs no foreign weights.

    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.stem = Stem(3, width, 4)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNormAct(fine, coarse, stride=2), ResidualBlock(coarse))
            for fine, coarse in pairwise(widths)
        )
        self.channels = 2 * width
        self.pixel_decoder = PixelDecoder(widths, self.channels)
        self.mix = ConvNormAct(self.channels, self.channels)
        self.classify = nn.Sequential(CellConv(self.channels, num_classes, 2), nn.PixelShuffle(2))

    def forward(self, rgb: Tensor) -> SegmenterOutput:
        """Segment [B,3,H,W] in 0..1: logits [B,C,H/2,W/2], features [B,D,H/4,W/4]."""
        height, width = rgb.shape[-2:]
        levels = [self.stem(pad_to_multiple(rgb, _STRIDE))]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        features = self.mix(self.pixel_decoder(levels)[0])
        logits = self.classify(features)
        return SegmenterOutput(
            logits[..., : -(-height // 2), : -(-width // 2)],
            features[..., : -(-height // 4), : -(-width // 4)],
        )


class MafsSegmenter(nn.Module):
    """A network of this project that gets the fused image as its visible input."""

    def __init__(self, network: MAFS) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> SegmenterOutput:
        """Segment [B,3,H,W] in 0..1."""
        return SegmenterOutput(self.network(rgb, None, full_logits=False).logits, None)


class TorchSegmenter(nn.Module):
    """
    Any segmentation network: a tensor, a mapping with 'out', or an object with ``logits``.

    Args:
        network: maps a normalised RGB image to class logits.
        class_map: our class per output channel, -1 for none; empty: the same ids.
        num_classes: number of our classes.
        mean: subtracted from the image.
        std: divisor after that.

    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        class_map: list[int],
        num_classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.network, self.num_classes = network, num_classes
        self.class_map = list(class_map)
        if any(not -1 <= value < num_classes for value in self.class_map):
            raise ConfigError(
                f'segmenter.class_map: expected ids -1..{num_classes - 1}, got {self.class_map}'
            )
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> SegmenterOutput:
        """Segment [B,3,H,W] in 0..1; channels of one class are joined by log-sum-exp."""
        result = self.network((rgb - self.mean) / self.std)
        if isinstance(result, dict):
            result = result['out'] if 'out' in result else result['logits']
        logits = getattr(result, 'logits', result)
        if not isinstance(logits, Tensor):
            raise ConfigError(
                f'segmenter: the network gives {type(logits).__name__}, expected logits'
            )
        if not self.class_map:
            if logits.shape[1] != self.num_classes:
                raise ConfigError(
                    f'segmenter: the network gives {logits.shape[1]} classes, '
                    f'expected {self.num_classes} or a class_map'
                )
            return SegmenterOutput(logits, None)
        if len(self.class_map) != logits.shape[1]:
            raise ConfigError(
                f'segmenter.class_map: {len(self.class_map)} ids for {logits.shape[1]} channels'
            )
        joined = []
        for target in range(self.num_classes):
            channels = [i for i, value in enumerate(self.class_map) if value == target]
            joined.append(
                logits[:, channels].logsumexp(1)
                if channels
                else torch.full_like(logits[:, 0], -30.0)
            )
        return SegmenterOutput(torch.stack(joined, 1), None)


class FrozenSegmenter(nn.Module):
    """Keeps a loaded segmenter as it is; gradients pass to its input only."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FrozenSegmenter:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, rgb: Tensor) -> SegmenterOutput:
        """Segment [B,3,H,W] in 0..1."""
        return self.segmenter(rgb)


def create_segmenter(options: SegmenterOptions, num_classes: int) -> nn.Module:
    """
    Build or load the segmenter.

    Args:
        options: kind and weights.
        num_classes: number of classes of the labels.

    Returns:
        Module that maps RGB [B,3,H,W] in 0..1 to `SegmenterOutput`.

    Raises:
        ConfigError: option outside its limits, unusable factory, wrong number of classes.
        CheckpointError: unreadable weights.

    """
    check_limits('segmenter', options)
    if options.kind == 'fresh':
        return FusedImageSegmenter(num_classes, options.width)
    if options.kind != 'torch' and not Path(options.weights).is_file():
        raise ConfigError(
            f'segmenter.weights: {options.weights!r}, expected a file for kind {options.kind}'
        )
    loaders = {
        'mafs': _load_mafs, 'torch': _load_torch, 'torchscript': _load_script, 'onnx': _load_onnx,
    }  # fmt: skip
    segmenter = loaders[options.kind](options, num_classes)
    return segmenter if options.trainable else FrozenSegmenter(segmenter)


def _load_mafs(options: SegmenterOptions, num_classes: int) -> nn.Module:
    from mafs_model.checkpoint import convert_lightning, load_model

    if Path(options.weights).suffix == '.ckpt':
        with TemporaryDirectory(prefix='mafs_teacher_') as folder:
            weights = Path(folder) / 'teacher.safetensors'
            convert_lightning(Path(options.weights), weights, prefix='ema.module.')
            network, _ = load_model(weights, 'cpu')
    else:
        network, _ = load_model(options.weights, 'cpu')
    if network.config.num_classes != num_classes:
        raise ConfigError(
            f'segmenter.weights: {options.weights} has '
            f'{network.config.num_classes} classes, expected {num_classes}'
        )
    return MafsSegmenter(network)


def _load_torch(options: SegmenterOptions, num_classes: int) -> nn.Module:
    module_name, _, attribute = options.factory.partition(':')
    if not module_name or not attribute:
        raise ConfigError(f'segmenter.factory: expected module:callable, got {options.factory!r}')
    try:
        network = getattr(importlib.import_module(module_name), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f'segmenter.factory {options.factory!r}: {error}') from None
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f'segmenter.factory {options.factory!r}: gives '
            f'{type(network).__name__}, expected a torch module'
        )
    if options.weights:
        network.load_state_dict(_read_state(Path(options.weights)))
    return TorchSegmenter(network, options.class_map, num_classes, options.mean, options.std)


def _load_script(options: SegmenterOptions, num_classes: int) -> nn.Module:
    try:
        network = torch.jit.load(options.weights, map_location='cpu')
    except (RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(
            f'{options.weights}: no TorchScript file: {str(error).splitlines()[0][:120]}'
        ) from None
    return _foreign(network, options, num_classes)


def _load_onnx(options: SegmenterOptions, num_classes: int) -> nn.Module:
    from mafs_model.extras import require

    require('a segmenter of kind onnx', 'onnxruntime')
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(options.weights, providers=['CPUExecutionProvider'])
    except Exception as error:  # noqa: BLE001 - its kinds have no base of their own
        raise CheckpointError(
            f'{options.weights}: no ONNX graph: {str(error).splitlines()[0][:120]}'
        ) from None
    return _foreign(OnnxNetwork(session), options, num_classes)


def _foreign(network: nn.Module, options: SegmenterOptions, num_classes: int) -> nn.Module:
    """Wrap a network out of a file, once it has segmented a picture."""
    segmenter = TorchSegmenter(network, options.class_map, num_classes, options.mean, options.std)
    try:
        with torch.no_grad():
            logits = segmenter.eval()(torch.zeros(1, 3, _STRIDE, 2 * _STRIDE)).logits
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a foreign network raises
        raise CheckpointError(
            f'{options.weights}: expected a segmenter of RGB images [1,3,H,W] of any size: '
            f'{" ".join(str(error).split())[-200:]}'
        ) from None
    if logits.ndim != 4:
        raise CheckpointError(
            f'{options.weights}: gives {list(logits.shape)}, expected logits [1,C,h,w]'
        )
    return segmenter


class OnnxNetwork(nn.Module):
    """
    A graph of ONNX as a module: without gradient.

    Args:
        session: of ONNX Runtime; its first input is the image, its first output the logits.

    """

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.input = session.get_inputs()[0].name

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of images [B,3,H,W]."""
        values = {self.input: image.detach().float().cpu().numpy()}
        return torch.from_numpy(self.session.run(None, values)[0]).to(image.device)


def _read_state(path: Path) -> dict[str, Tensor]:
    """Read a state_dict from .safetensors, or from a torch file without running its code."""
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # noqa: BLE001 - the readers raise a dozen unrelated kinds
        raise CheckpointError(
            f'{path}: no readable state_dict: {str(error).splitlines()[0]}'
        ) from None
    return state.get('state_dict', state)


def resize_logits(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of logits [B,C,h,w] to ``size`` (height, width)."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=size, mode='bilinear', align_corners=False)


def gradient_share(image: Tensor, share: float) -> Tensor:
    """Return the image unchanged, but scale its gradient by ``share``."""
    if share == 1.0:
        return image
    return image.detach() + share * (image - image.detach())


__all__ = [
    'create_segmenter',
    'FrozenSegmenter',
    'FusedImageSegmenter',
    'gradient_share',
    'MafsSegmenter',
    'OnnxNetwork',
    'resize_logits',
    'SegmenterOutput',
    'TorchSegmenter',
]
