"""Architecture configurations: bounds of the variants, derived sizes, refused values."""

from __future__ import annotations

import dataclasses
import json

from mafs_model.errors import ConfigError
from mafs_model.network.config import create_config, MAFSConfig, VARIANTS
from mafs_model.network.cost import count_macs, count_parameters, model_info
from mafs_model.network.mafs import MAFS
import pytest
import torch
from torch import nn

# Parameters in millions and GMACs at 640x480 that a variant may have at most.
BOUNDS = {'mafs_t': (2.5, 5.0), 'mafs_s': (8.0, 20.0), 'mafs_b': (30.0, float('inf'))}


@pytest.mark.parametrize('name', VARIANTS)
def test_variant_is_within_its_bounds(name):
    row = next(row for row in model_info() if row['name'] == name)
    assert row['params_m'] <= BOUNDS[name][0]
    assert row['gmacs'] <= BOUNDS[name][1]
    assert row['gflops'] == pytest.approx(2 * row['gmacs'], abs=0.02)


def test_small_variant_keeps_its_bound_with_the_classes_of_fmb():
    assert model_info(['mafs_s'], num_classes=15)[0]['params_m'] <= 8.0


def macs_by_hooks(model: MAFS, visible: torch.Tensor, thermal: torch.Tensor) -> int:
    """Count by output size times kernel size, independently of torch's counter."""
    total = 0

    def count(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    with torch.inference_mode():
        model(visible, thermal, full_logits=False)
    for hook in hooks:
        hook.remove()
    return total


def test_counted_operations_agree_with_a_count_by_hooks():
    config = create_config('mafs_t')
    model = MAFS(config).eval()
    by_hand = macs_by_hooks(model, torch.rand(1, 3, 96, 128), torch.rand(1, 1, 96, 128))
    # Not convolution layers, so unseen by the hooks: per stage Q K^T and A V, each C * C / heads
    # per pixel; per map enlarged smoothly 16 pixels x 9 taps per cell, five maps.
    pixels = [3 * 4, 6 * 8, 12 * 16]
    width, heads = config.segmentation_width, config.attention_heads
    attention = sum(2 * n * width * width // heads for n in pixels)
    smooth = 5 * 16 * 9 * (24 * 32)
    assert count_macs(config, (96, 128)) == by_hand + attention + smooth


def test_parameters_are_counted_once():
    layer = nn.Linear(3, 2)
    assert count_parameters(nn.Sequential(layer, layer)) == 8


@pytest.mark.parametrize('name', VARIANTS)
def test_configuration_survives_json(name):
    config = create_config(name, num_classes=15)
    assert MAFSConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        create_config('mafs_t').num_classes = 3


@pytest.mark.parametrize('name', VARIANTS)
def test_strides_follow_from_the_stem(name):
    config = create_config(name)
    assert config.strides[0] == config.stem_stride
    assert all(
        coarse == 2 * fine
        for fine, coarse in zip(config.strides, config.strides[1:], strict=False)
    )
    assert config.strides[config.head_level] == 4
    assert config.max_stride == 32


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'num_classes': 0}, 'num_classes is 0'),
        ({'num_classes': 256}, 'num_classes is 256'),
        ({'stem_stride': 3}, 'stem_stride is 3'),
        ({'depths': (1, 1)}, 'depths 2, expected the same number'),
        ({'depths': (0, 1, -1, 1)}, 'depths is -1, expected an integer of 0 to 16'),
        ({'widths': (31, 64, 96, 128)}, 'expected a multiple of gate_reduction 2'),
        ({'segmentation_levels': 4}, 'segmentation_levels is 4, expected an integer of 1 to 3'),
        ({'attention_heads': 7}, 'expected a multiple of attention_heads 7'),
        ({'fusion_decoder': 'blend'}, "is 'blend', expected one of pyramid, direct"),
        ({'modulation_norm': 'layer'}, "modulation_norm is 'layer'"),
        ({'nonsense': 1}, 'nonsense'),
    ],
)
def test_bad_values_are_refused_by_name(overrides, message):
    with pytest.raises(ConfigError, match=message):
        create_config('mafs_t', **overrides)


def test_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match="variant is 'mafs_x', expected one of mafs_t"):
        create_config('mafs_x')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'variant': 'mafs_t', 'colour': 1}, r"unknown architecture keys \['colour'\]"),
        ({}, 'variant'),
        ({'variant': 'mafs_t', 'widths': 3}, 'widths is 3, expected a list'),
    ],
)
def test_bad_dictionaries_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        MAFSConfig.from_dict(values)
