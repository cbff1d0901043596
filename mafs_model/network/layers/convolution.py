"""Dense convolutions with normalisation, the one kind of layer that is fast everywhere."""

from __future__ import annotations

from torch import nn, Tensor


class ConvNormAct(nn.Module):
    """
    Convolution, batch normalisation and, unless switched off, ReLU.

    ``[B, in, H, W] -> [B, out, ceil(H / stride), ceil(W / stride)]``

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd size of the kernel in cells; the padding keeps the resolution.
        stride: downsampling factor.
        activation: whether a ReLU follows.

    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)
        self.activation: nn.Module = nn.ReLU() if activation else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three steps."""
        return self.activation(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection, ``[B, C, H, W] -> [B, C, H, W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = ConvNormAct(channels, channels)
        self.outer = ConvNormAct(channels, channels, activation=False)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``relu(x + outer(inner(x)))``."""
        return self.activation(x + self.outer(self.inner(x)))
