"""Whole runs: dry runs, resuming, stopping, exports and the command line."""

from __future__ import annotations

import csv
from dataclasses import replace
import subprocess
import sys
import time

import cv2
from mafs_model.checkpoint import load_checkpoint, load_model
from mafs_model.errors import CheckpointError, ConfigError, DatasetError
from mafs_training.cli import main_train, parse_stage
from mafs_training.lightning_module import NonFiniteLossError
from mafs_training.option_checks import check_config
from mafs_training.options import CONFIGS
from mafs_training.trainer import run
import numpy as np
import pytest
import torch
import yaml


def values_of(folder, column):
    with (folder / 'csv' / 'metrics.csv').open() as file:
        rows = list(csv.DictReader(file))
    return {int(row['step']): float(row[column]) for row in rows if row.get(column)}


@pytest.mark.parametrize('stage', list(CONFIGS))
def test_dry_run(stage, capsys):
    begin = time.process_time()  # of this process: other load on the machine does not count
    assert main_train([stage, '--dry-run']) == 0
    assert time.process_time() - begin < 60
    assert f'dry run of {stage}: 4 steps, loss ' in capsys.readouterr().out


@pytest.mark.parametrize('stage', ['mae', 'joint', 'ssvif', 'prototypes'])
def test_run_writes_everything(stage, tiny_arguments, tmp_path, capsys):
    extra = ['--trainer.panels_every', '2', '--trainer.panels', '2']
    if stage in ('ssvif', 'prototypes'):
        extra += ['--ssvif.stage1_steps', '2', '--ssvif.ramp_steps', '2']
    if stage == 'prototypes':
        extra += ['--ssvif.mode', 'prototypes']
    name = 'ssvif' if stage == 'prototypes' else stage
    out = tmp_path / 'run'
    assert main_train([name, *tiny_arguments, *extra, '--trainer.out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert f'6 steps; weights: {out / "final.safetensors"}' in printed
    assert sorted(p.name for p in (out / 'panels').iterdir()) == [
        'step_0000002.png',
        'step_0000004.png',
        'step_0000006.png',
    ]
    assert list((out / 'tensorboard').glob('events*'))
    assert (out / 'checkpoints' / 'best.ckpt').is_file()
    losses = values_of(out, 'train/loss')
    assert len(losses) == 6
    assert yaml.safe_load((out / 'config.yaml').read_text())['data']['crop'] == 64
    for file in ('final.safetensors', 'best.safetensors'):
        network, metadata = load_model(out / file)
        assert metadata['stage'] == name
        assert metadata['command'].startswith(f'mafs-train {name} ')
        # What learns without labels does not read them.
        labelled = 0 if name == 'mae' else 4
        assert metadata['data'] == [f'generic:train train: 8 pairs, {labelled} labelled']
        assert not network.training
    metrics = load_checkpoint(out / 'final.safetensors').metadata['metrics']
    expected = {'mae': 'val/psnr_thermal', 'prototypes': 'val/fusion'}.get(stage, 'val/miou')
    assert expected in metrics


def test_resumed_run_gives_the_same_numbers(tiny_arguments, tmp_path):
    """Three epochs at once equal one, and then two more from its checkpoint."""

    def go(name, *extra):
        config = parse_stage(
            'joint', [*tiny_arguments, '--trainer.out', str(tmp_path / name), *extra]
        )
        return run(config)

    whole = go('whole')
    part = go('parts', '--trainer.stop_epochs', '1')
    assert (part.steps, part.weights) == (2, None)
    rest = go('parts', '--trainer.resume', 'auto')
    assert (rest.steps, whole.steps) == (6, 6)
    first, second = (load_checkpoint(r.weights).state_dict for r in (whole, rest))
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ('val/miou', 'val/fusion', 'train/loss', 'train/weight_fusion'):
        assert whole.metrics[name] == rest.metrics[name]


def test_the_last_checkpoint_is_that_of_the_last_epoch_even_if_an_earlier_one_was_better(
    tiny_arguments, tmp_path
):
    """The labels stay as they are, so the first epoch remains the best."""
    options = ['--model.only', '["fusion_decoder"]', '--trainer.out', str(tmp_path / 'run')]
    run(parse_stage('joint', [*tiny_arguments, *options]))
    steps = {
        name: torch.load(tmp_path / 'run/checkpoints' / f'{name}.ckpt', weights_only=True)[
            'global_step'
        ]
        for name in ('best', 'last')
    }
    assert steps == {'best': 2, 'last': 6}


def test_seed_decides(tiny_arguments, tmp_path):
    losses = []
    for index, seed in enumerate((1, 1, 2)):
        config = parse_stage(
            'mae',
            [
                *tiny_arguments,
                '--trainer.out',
                str(tmp_path / str(index)),
                '--trainer.steps',
                '2',
                '--trainer.seed',
                str(seed),
            ],
        )
        losses.append(run(config).metrics['train/loss'])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_accumulation_counts_optimiser_steps(tiny_arguments, tmp_path):
    config = parse_stage(
        'mae', [*tiny_arguments, '--trainer.out', str(tmp_path / 'a'), '--trainer.accumulate', '2']
    )
    assert run(config).steps == 6


def test_non_finite_loss_stops_and_keeps_the_batch(tiny_arguments, tmp_path):
    out = tmp_path / 'run'
    config = parse_stage('joint', [*tiny_arguments, '--trainer.out', str(out)])
    config.fusion.intensity = 1e39  # more than single precision holds
    with pytest.raises(NonFiniteLossError, match='step 0: the loss is not finite') as caught:
        run(config)
    saved = torch.load(out / 'nonfinite_step0_rank0.pt', weights_only=True)
    assert saved['batch']['visible'].shape == (2, 3, 64, 64)
    assert len(saved['names']) == 2
    assert str(out / 'nonfinite_step0_rank0.pt') in str(caught.value)


def test_stage_two_starts_from_stage_one(tiny_arguments, tmp_path):
    first = run(parse_stage('mae', [*tiny_arguments, '--trainer.out', str(tmp_path / 'one')]))
    second = parse_stage(
        'joint',
        [
            *tiny_arguments,
            '--trainer.out',
            str(tmp_path / 'two'),
            '--model.init',
            str(first.weights),
            '--trainer.steps',
            '2',
        ],
    )
    assert run(second).steps == 2


class TestErrors:
    def test_second_run_in_one_folder(self, tiny_arguments, tmp_path):
        arguments = [
            *tiny_arguments,
            '--trainer.out',
            str(tmp_path / 'run'),
            '--trainer.steps',
            '2',
        ]
        run(parse_stage('mae', arguments))
        with pytest.raises(ConfigError, match='holds a run already'):
            run(parse_stage('mae', arguments))

    def test_only_some_parts_are_trained(self, tiny_arguments, tmp_path):
        arguments = [*tiny_arguments, '--trainer.seed', '3', '--trainer.steps', '2']
        whole = run(parse_stage('joint', [*arguments, '--trainer.out', str(tmp_path / 'a')]))
        part = run(
            parse_stage(
                'joint',
                [
                    *arguments,
                    '--model.init',
                    str(whole.weights),
                    '--model.only',
                    '["fusion_decoder"]',
                    '--trainer.out',
                    str(tmp_path / 'b'),
                ],
            )
        )
        before = load_checkpoint(whole.weights).state_dict
        after = load_checkpoint(part.weights).state_dict
        changed = {
            name.partition('.')[0] for name in before if (before[name] != after[name]).any()
        }
        assert changed == {'fusion_decoder'}

    def test_only_names_parts(self, tiny_arguments, tmp_path):
        arguments = [*tiny_arguments, '--model.only', '["head"]', '--trainer.out', str(tmp_path)]
        with pytest.raises(ConfigError, match=r"no part 'head', expected some of encoder, "):
            run(parse_stage('joint', arguments))

    def test_same_data_for_both(self, tiny_arguments, tmp_path):
        source = tiny_arguments[1]
        message = r'pair\(s\) of data\.val are in data\.train as well'
        with pytest.raises(DatasetError, match=message):
            run(
                parse_stage(
                    'mae',
                    [*tiny_arguments, '--data.val', source, '--trainer.out', str(tmp_path / 'x')],
                )
            )

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            (['--trainer.steps', '0'], 'trainer.steps is 0, expected at least 1'),
            (['--data.crop', '100'], 'data.crop is 100, expected a multiple of 32'),
            (
                ['--trainer.precision', '8'],
                "trainer.precision is '8', expected one of 32, bf16, 16",
            ),
            (['--trainer.resume', 'none.ckpt'], 'none.ckpt: no such checkpoint'),
            (['--model.init', 'none.ckpt'], 'none.ckpt: no such file'),
            (['--optim.speed', '1'], 'optim.speed'),
            (['--trainer.steps', 'many'], 'trainer.steps'),
            (['--mask.ratio', '[0.9, 0.2]'], 'ratio: expected 0 < low <= high < 1'),
        ],
    )
    def test_one_line(self, tiny_arguments, tmp_path, capsys, arguments, message):
        code = main_train(
            ['mae', *tiny_arguments, '--trainer.out', str(tmp_path / 'run'), *arguments]
        )
        error = capsys.readouterr().err
        assert code == 2
        assert error.startswith('mafs-')
        assert message in error
        assert 'Traceback' not in error
        assert error.count('\n') == 1

    @pytest.mark.parametrize(
        ('stage', 'arguments', 'message'),
        [
            ('joint', ['--trainer.ema', '1'], 'trainer.ema is 1.0, expected at least 0 and less'),
            ('joint', ['--trainer.seed', '-1'], 'trainer.seed is -1, expected 0 to 4294967295'),
            ('joint', ['--trainer.panels', '0'], 'trainer.panels is 0, expected at least 1'),
            ('joint', ['--trainer.accelerator', 'foo'], "is 'foo', expected one of auto, cpu, "),
            ('joint', ['--optim.lr', '0'], 'optim.lr is 0.0, expected more than 0'),
            ('joint', ['--data.labelled_fraction', '1.5'], 'is 1.5, expected 0 to 1, or -1'),
            ('joint', ['--data.focus', '2'], 'data.focus is 2.0, expected 0 to 1'),
            ('joint', ['--segmenter.width', '0'], 'segmenter.width is 0, expected at least 1'),
            (
                'joint',
                ['--segmentation.ohem_min_kept', '3'],
                'is 3.0, expected more than 0 and at most 1',
            ),
            (
                'joint',
                ['--segmentation.region', 'x'],
                "segmentation.region is 'x', expected one of lov",
            ),
            (
                'joint',
                ['--weighting.kind', 'x'],
                "weighting.kind is 'x', expected one of fairness, ",
            ),
            (
                'joint',
                ['--weighting.kind', 'fixed', '--weighting.fixed', '{"fusion": -1}'],
                'weights: expected numbers from 0',
            ),
            ('mae', ['--mask.patch_px', '[8, 64]'], 'expected less than data.crop (64)'),
            (
                'mae',
                ['--trainer.monitor', 'val/miou'],
                'one of train/loss, val/loss, val/psnr_visible, val/p',
            ),
            (
                'joint',
                ['--trainer.monitor', 'val/nope'],
                "is 'val/nope', expected one of train/loss, val/fus",
            ),
            ('joint', ['--trainer.monitor', 'x', '--data.val', '[]'], 'but data.val is empty'),
            ('ssvif', ['--ssvif.temperature', '0'], 'ssvif.temperature is 0.0, expected more th'),
        ],
    )
    def test_one_line_of_a_stage(
        self, tiny_arguments, tmp_path, capsys, stage, arguments, message
    ):
        self.refuses(capsys, message, [stage, *tiny_arguments, *arguments], tmp_path)

    def refuses(self, capsys, message, arguments, tmp_path):
        """Exit code 2 and one line that contains the message."""
        assert main_train([*arguments, '--trainer.out', str(tmp_path / 'run')]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith('mafs-')
        assert message in last

    @pytest.fixture
    def unlabelled(self, tmp_path, pairs):
        return (
            f'["generic:{pairs.write(tmp_path / "bare", 3, seed=70, folders=("vi", "ir", ""))}"]'
        )

    @pytest.mark.parametrize(
        ('stage', 'instead'),
        [('joint', '--model.only'), ('ssvif', 'or --ssvif.mode prototypes')],
    )
    def test_classes_need_labels(
        self, tiny_arguments, tmp_path, capsys, unlabelled, stage, instead
    ):
        arguments = [stage, *tiny_arguments, '--data.labelled_fraction', '1']
        message = 'data.train: none of 3 pairs has a label'
        self.refuses(capsys, message, [*arguments, '--data.train', unlabelled], tmp_path)
        self.refuses(capsys, instead, [*arguments, '--data.train', unlabelled], tmp_path)
        none = ['--data.labelled_fraction', '0']
        self.refuses(capsys, 'labelled_fraction is 0: no pair', [*arguments, *none], tmp_path)

    def test_labels_without_a_class_are_none(self, tiny_arguments, tmp_path, capsys, pairs):
        folder = pairs.write(tmp_path / 'ignored', 2, seed=80)
        for path in (folder / 'label').iterdir():
            cv2.imwrite(str(path), np.full((96, 96), 255, np.uint8))
        arguments = ['joint', *tiny_arguments, '--data.train', f'["generic:{folder}"]']
        self.refuses(capsys, 'none of 2 pairs has a label', arguments, tmp_path)

    def test_monitor_of_labels_needs_labels(self, tiny_arguments, tmp_path, capsys, unlabelled):
        arguments = ['joint', *tiny_arguments, '--trainer.monitor', 'val/miou']
        arguments += ['--data.val', unlabelled]
        self.refuses(capsys, 'but no pair of data.val has a label', arguments, tmp_path)

    def test_no_data(self, tmp_path, capsys):
        assert main_train(['mae', '--trainer.out', str(tmp_path)]) == 2
        assert 'data.train is empty' in capsys.readouterr().err

    def test_unknown_stage(self, capsys):
        with pytest.raises(SystemExit) as end:
            main_train(['magic'])
        assert end.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith('mafs-train: argument STAGE')
        assert all(word in lines[0] for word in ('magic', 'mae', 'joint', 'ssvif'))


@pytest.mark.parametrize('stage', ['joint', 'ssvif'])
def test_validation_without_labels_watches_the_fusion(
    stage, tiny_arguments, tmp_path, pairs, caplog
):
    val = pairs.write(tmp_path / 'bare', 2, seed=70, folders=('vi', 'ir', ''))
    arguments = [*tiny_arguments, '--data.val', f'["generic:{val}"]', '--trainer.steps', '2']
    result = run(parse_stage(stage, [*arguments, '--trainer.out', str(tmp_path / 'run')]))
    assert result.best is not None
    assert 'val/miou' not in result.metrics
    assert 'data.val: none of 2 pairs has a label; the best checkpoint' in caplog.text


def test_blend_alone_needs_no_labels(tiny_arguments, tmp_path, pairs):
    bare = pairs.write(tmp_path / 'bare', 2, seed=70, folders=('vi', 'ir', ''))
    arguments = [
        *tiny_arguments, '--data.train', f'["generic:{bare}"]', '--trainer.steps', '2',
        '--model.only', '["fusion_decoder"]', '--teacher.enabled', 'false',
    ]  # fmt: skip
    assert run(parse_stage('joint', [*arguments, '--trainer.out', str(tmp_path / 'run')])).weights


class TestResumeErrors:
    @pytest.fixture
    def begun(self, tiny_arguments, tmp_path):
        """Command line and checkpoint of a run after one of three epochs."""
        out = str(tmp_path / 'begun')
        config = parse_stage(
            'joint', [*tiny_arguments, '--trainer.out', out, '--trainer.stop_epochs', '1']
        )
        return tiny_arguments, run(config).checkpoint

    def test_of_another_run(self, begun, tmp_path, capsys):
        arguments, checkpoint = begun
        for stage, changed, message in (
            ('mae', [], "made with stage 'joint', now 'mae'; expected the same"),
            (
                'joint',
                ['--model.variant', 'mafs_s', '--model.overrides', '{}'],
                "made with model.variant 'mafs_t', now 'mafs_s'",
            ),
            ('joint', ['--model.overrides', '{}'], 'another network, teacher or class table: '),
            ('joint', ['--model.classes', 'fmb'], "made with classes 'unlabelled, car, person"),
            ('joint', ['--teacher.enabled', 'false'], 'another network, teacher or class table'),
            ('joint', ['--trainer.steps_per_epoch', '3'], 'steps_per_epoch 2, now 3; expected'),
            ('joint', ['--model.only', '["encoder"]'], "model.only [], now ['encoder']"),
        ):
            command = [stage, *arguments, *changed, '--trainer.resume', str(checkpoint)]
            assert main_train([*command, '--trainer.out', str(tmp_path / 'next')]) == 2
            last = capsys.readouterr().err.splitlines()[-1]
            assert last.startswith(f'mafs-train {stage}: trainer.resume: {checkpoint}: ')
            assert message in last

    def test_damaged(self, begun, tmp_path):
        arguments, checkpoint = begun
        half = tmp_path / 'half.ckpt'
        half.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
        other = tmp_path / 'other.ckpt'
        torch.save({'state_dict': {}}, other)
        text = tmp_path / 'text.ckpt'
        text.write_text('hello')
        for path in (half, other, text):
            config = parse_stage(
                'joint',
                [*arguments, '--trainer.out', str(tmp_path / 'x'), '--trainer.resume', str(path)],
            )
            with pytest.raises(CheckpointError, match='no complete checkpoint of mafs-train'):
                run(config)


def test_file_and_command_line(tmp_path):
    path = tmp_path / 'options.yaml'
    path.write_text('optim:\n  lr: 0.5\ndata:\n  train: [a, b]\n  scale: [0.5, 1.0]\n')
    config = parse_stage('joint', ['--config', str(path), '--optim.lr', '0.25'])
    assert (config.optim.lr, config.data.train) == (0.25, ['a', 'b'])
    assert tuple(config.data.scale) == (0.5, 1.0)


_PARTS_OF_JOINT = (('joint', 'labels'), ('joint', 'blend'))


@pytest.mark.parametrize(
    ('stage', 'name'), [*((stage, stage) for stage in CONFIGS), *_PARTS_OF_JOINT]
)
def test_recipes_are_readable(stage, name):
    """Recipes name only options that exist, and no path of one machine."""
    from pathlib import Path

    import mafs_training

    folder = Path(mafs_training.__file__).parent / 'configs'
    assert {p.stem for p in folder.iterdir()} == {*CONFIGS, *(part for _, part in _PARTS_OF_JOINT)}
    path = folder / f'{name}.yaml'
    config = parse_stage(stage, ['--config', str(path)])
    assert config.data.train == []
    assert config.trainer.steps > 100
    check_config(replace(config, data=replace(config.data, train=['synthetic:1'])))


def test_help_needs_no_torch():
    code = (
        "import sys; from mafs_training.cli import main_train; main_train(['--help']); "
        "assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    )
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, timeout=60)
