"""The network with its pre- and post-processing as one module: bytes in, bytes out."""

from __future__ import annotations

from mafs_model.images.preprocessing import PIXEL_SCALE
from mafs_model.runtime.engine import input_names, MODES
import torch
from torch import nn, Tensor


class DeploymentGraph(nn.Module):
    """
    The network between uint8 images.

    Layout change, scaling, network, class decision, confidence and rounding are all inside, so
    that every backend runs the same definition and only bytes cross its border. Labels and
    confidence keep the resolution of the logits (stride 2): enlarging bytes by repetition
    outside costs a tenth of doing it in a graph.

    Args:
        network: a MAFS network.
        mode: which images are given, one of ``MODES``; each is a graph of its own, without
            branches inside.
        temperature: divisor of the logits in the confidence (calibration), above 0.

    """

    def __init__(self, network: nn.Module, mode: str = 'fusion', temperature: float = 1.0) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode '{mode}', expected one of {', '.join(MODES)}")
        self.network = network
        self.mode = mode
        self.temperature = temperature

    @property
    def input_names(self) -> tuple[str, ...]:
        """Return the names of the images that :meth:`forward` takes, in order."""
        return input_names(self.mode)

    def forward(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Run the network.

        Args:
            images: those of :attr:`input_names`: visible uint8 [B,H,W,3] RGB, thermal uint8
                [B,H,W].

        Returns:
            fused uint8 [B,H,W,3] RGB; labels and confidence uint8 [B,ceil(H/2),ceil(W/2)].

        """
        given = dict(zip(self.input_names, images, strict=True))
        visible, thermal = given.get('visible'), given.get('thermal')
        dtype = self._dtype()
        if visible is not None:
            visible = visible.permute(0, 3, 1, 2).to(dtype) * PIXEL_SCALE  # [B,3,H,W]
        if thermal is not None:
            thermal = thermal.unsqueeze(1).to(dtype) * PIXEL_SCALE  # [B,1,H,W]
        output = self.network(visible, thermal, full_logits=False)
        labels, confidence = decide(output.logits, self.temperature)
        return to_bytes(output.fused_rgb).permute(0, 2, 3, 1).contiguous(), labels, confidence

    def _dtype(self) -> torch.dtype:
        """Return the number format that the network computes in."""
        return next(self.network.parameters()).dtype


def to_bytes(image: Tensor) -> Tensor:
    """Return values of 0..1 as uint8, rounded to the nearest."""
    # Adding a half and truncating is rounding, and cheaper than round() in every backend.
    return (image * 255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)


def decide(logits: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """
    Return the most probable class and its probability.

    Maximum and sum run over one class image after the other: reducing or spreading over a strided
    axis costs several times as much in every CPU backend. The first of equal classes wins, as
    with arg-max.

    Args:
        logits: [B,C,H,W].
        temperature: divisor of the logits before the softmax; the decision does not depend on it.

    Returns:
        labels uint8 [B,H,W] and confidence uint8 [B,H,W], 255 = probability 1.

    """
    logits = logits.contiguous()  # Planes of channels-last maps are slow to read nine times.
    scores = [logits[:, index] for index in range(logits.shape[1])]
    best, labels = scores[0], torch.zeros_like(scores[0])
    for index, score in enumerate(scores[1:], 1):
        labels = torch.where(score > best, float(index), labels)
        best = torch.maximum(best, score)
    total = torch.zeros_like(best)
    for score in scores:
        total = total + ((score - best) * (1.0 / temperature)).exp()
    return labels.to(torch.uint8), to_bytes(total.reciprocal())
