"""Options and the fusion loss come from one table: whatever is forgotten is named here."""

from __future__ import annotations

from dataclasses import fields, replace
import importlib
import inspect
import pkgutil

from mafs_model.errors import ConfigError
from mafs_training import losses, option_docs
from mafs_training.limits import bounded, check_limits, Limits
from mafs_training.losses.fusion import fusion_loss, fusion_terms, FusionOptions
import pytest
import torch

SECTIONS = {name: options for name, options, _ in option_docs.sections()}
OPTIONS = [
    pytest.param(options, item, id=f'{name}.{item.name}')
    for name, options in SECTIONS.items()
    for item in fields(options)
]
TERMS = {item.name: function for item, function, _ in fusion_terms()}


def loss_functions():
    """Every function of the losses that compares a fused image with both sources, by name."""
    for module in pkgutil.iter_modules(losses.__path__):
        for name, function in vars(
            importlib.import_module(f'mafs_training.losses.{module.name}')
        ).items():
            if inspect.isfunction(function) and name.endswith('_loss'):
                images = list(inspect.signature(function).parameters)[:3]
                if images == ['fused', 'visible', 'thermal'] and name != 'fusion_loss':
                    yield name, function


@pytest.mark.parametrize('name', sorted({name for name, _ in loss_functions()}))
def test_every_fusion_loss_is_in_the_table(name):
    assert dict(loss_functions())[name] in TERMS.values(), f'{name} is no term of FusionOptions'


@pytest.mark.parametrize('name', TERMS)
def test_every_term_is_trained_logged_and_off_at_weight_zero(name):
    generator = torch.Generator().manual_seed(0)
    fused, visible, thermal = torch.rand(3, 1, 1, 48, 48, generator=generator)
    visible[..., 12:36, 16:32] += 0.5
    labels = torch.zeros(1, 48, 48, dtype=torch.int64)
    labels[:, 12:36, 16:32] = 2
    fused.requires_grad_()
    none = FusionOptions(**dict.fromkeys(TERMS, 0.0))
    total, terms = fusion_loss(fused, visible, thermal, none, labels)
    assert total == 0
    assert terms == {}
    options = replace(none, **{name: 2.0})
    total, terms = fusion_loss(fused, visible, thermal, options, labels)
    assert list(terms) == [name]
    told = inspect.signature(TERMS[name]).parameters.keys() - {'fused', 'visible', 'thermal'}
    given = {key: labels if key == 'labels' else getattr(options, key) for key in told}
    alone = TERMS[name](fused, visible, thermal, **given)
    assert total.item() == pytest.approx(2 * alone.item())
    (gradient,) = torch.autograd.grad(total, fused)
    assert gradient.abs().max() > 0


def test_a_negative_weight_is_refused():
    for name in TERMS:
        with pytest.raises(ConfigError, match=rf'fusion.{name} is -1.0, expected at least 0'):
            check_limits('fusion', FusionOptions(**{name: -1.0}))


@pytest.mark.parametrize(('options', 'item'), OPTIONS)
def test_every_option_has_a_sentence_and_every_number_has_limits(options, item):
    assert option_docs.sentences(options).get(item.name), f'{item.name}: no sentence'
    numbers = item.type in ('int', 'float') or str(item.type).startswith('tuple[')
    if numbers and options.__name__ not in (
        'MaskOptions',
        'DropoutOptions',
    ):  # their __post_init__
        assert 'limits' in item.metadata or item.name == 'mean', f'{item.name}: no limits'


@pytest.mark.parametrize(('name', 'options'), SECTIONS.items())
def test_defaults_are_within_their_limits(name, options):
    check_limits(name, options())
    assert option_docs.sentences(options).keys() == {item.name for item in fields(options)}


def test_the_document_is_the_table():
    """After a change of an option: python -m mafs_training.option_docs."""
    written, made = option_docs.FILE.read_text(encoding='utf-8'), option_docs.render()
    missing = [line for line in made.splitlines() if line not in written.splitlines()]
    assert not missing, f'run python -m mafs_training.option_docs: {missing}'
    assert written == made, 'run python -m mafs_training.option_docs'


@pytest.mark.parametrize(
    ('limits', 'good', 'bad', 'words'),
    [
        ({'low': 1}, [1, 9], [0, None, 'x'], 'at least 1'),
        ({'above': 0}, [0.1], [0, -1, float('nan')], 'more than 0'),
        ({'low': 0, 'high': 1}, [0, 1], [1.1], '0 to 1'),
        ({'low': 0, 'below': 1}, [0], [1], 'at least 0 and less than 1'),
        ({'low': 32, 'multiple': 32}, [32, 64], [0, 33], 'a multiple of 32'),
        ({'low': 0, 'high': 1, 'apart': -1, 'apart_means': 'all'}, [-1], [-2], ', or -1 for all'),
        ({'above': 0, 'ascending': True}, [(1, 1), [1, 2]], [(2, 1), (0, 1)], 'and ascending'),
        ({'choices': ('a', 'b')}, ['a'], ['c', ''], 'one of a, b'),
    ],
)
def test_limits(limits, good, bad, words):
    limits = Limits(**limits)
    assert words in str(limits)
    assert all(limits.fits(value) for value in good)
    assert not any(limits.fits(value) for value in bad)


def test_a_number_that_is_none_is_refused():
    for value in (float('inf'), float('nan')):
        with pytest.raises(ConfigError, match=r'fusion\.signed is'):
            check_limits('fusion', FusionOptions(signed=value))
    assert bounded(1.0, low=0).metadata['limits'] == Limits(low=0)
