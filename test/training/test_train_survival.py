"""Nothing is lost: kills, signals and full disks in the middle of a run."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys

from mafs_model.checkpoint import load_checkpoint
from mafs_model.errors import CheckpointError, ConfigError
from mafs_training.checkpointing import SafeCheckpointIO
from mafs_training.cli import main_train, parse_stage
from mafs_training.datasets.sampling import DrawSampler
from mafs_training.resuming import find_resume
from mafs_training.trainer import run
import pytest
import torch

# A run in which the process sends itself a signal when the checkpoint of a step is written.
SCRIPT = """
import os, signal, sys
from mafs_training import checkpointing
from mafs_training.cli import main_train

save = checkpointing.LastCheckpoint._save

def saved(self, trainer):
    save(self, trainer)
    if trainer.global_step == int(os.environ.get('AT_STEP', -1)):
        os.kill(os.getpid(), int(os.environ['SIGNAL']))

checkpointing.LastCheckpoint._save = saved
if __name__ == '__main__':
    sys.exit(main_train(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ('devices', 'number'), [(1, signal.SIGKILL), (1, signal.SIGTERM), (2, signal.SIGKILL)]
)
def test_a_run_ended_in_mid_epoch_goes_on_bit_for_bit(
    tiny_arguments, tmp_path, capsys, caplog, devices, number
):
    """Two epochs of three steps with validation; the signal comes after the fourth step."""
    script = tmp_path / 'train.py'
    script.write_text(SCRIPT)

    def arguments(name, *extra):
        return [
            'joint', *tiny_arguments, *extra, '--trainer.out', str(tmp_path / name),
            '--trainer.steps_per_epoch', '3', '--trainer.checkpoint_minutes', '0',
            '--trainer.devices', str(devices), '--trainer.threads', '1',
        ]  # fmt: skip

    def go_apart(name, *extra, **environment):
        done = subprocess.run(
            [sys.executable, str(script), *arguments(name, *extra)],
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
            env={**os.environ, 'OMP_NUM_THREADS': '1', **environment},
        )
        return done.returncode, done.stdout, done.stderr

    def go_here(name, *extra):
        capsys.readouterr()
        caplog.clear()
        with caplog.at_level('INFO'):
            code = main_train(arguments(name, *extra))
        return code, capsys.readouterr().out, caplog.text

    # What is not to be killed, and is one process, needs none of its own.
    go = go_here if devices == 1 else go_apart
    code, output, errors = go('whole')
    assert code == 0, errors[-2000:]
    assert output.count('6 steps; weights: ') == 1, 'of several processes one reports'
    code, _, errors = go_apart('parts', AT_STEP='4', SIGNAL=str(int(number)))
    if number == signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert f'{number.name}: saving after this step' in errors
        assert 'step 5 saved to ' in errors
    assert not (tmp_path / 'parts' / 'final.safetensors').exists()
    code, _, errors = go('parts', '--trainer.resume', 'auto')
    assert code == 0, errors[-2000:]
    done = 4 if number == signal.SIGKILL else 5
    assert f'last.ckpt: step {done} of 6, epoch 2 of 2' in errors
    assert errors.count('epoch 2/2 step 6') == 1
    for file in ('final.safetensors', 'best.safetensors'):
        first, second = (load_checkpoint(tmp_path / n / file) for n in ('whole', 'parts'))
        assert first.metadata.get('metrics') == second.metadata.get('metrics')
        for name, value in first.state_dict.items():
            assert torch.equal(value, second.state_dict[name]), name


def test_a_run_without_validation_is_saved_after_each_epoch(tiny_arguments, tmp_path):
    out = tmp_path / 'run'
    arguments = [*tiny_arguments, '--data.val', '[]', '--trainer.out', str(out)]
    run(parse_stage('joint', [*arguments, '--trainer.stop_epochs', '1']))
    assert sorted(p.name for p in (out / 'checkpoints').iterdir()) == ['last.ckpt']
    result = run(parse_stage('joint', [*arguments, '--trainer.resume', 'auto']))
    assert result.steps == 6
    names = sorted(p.name for p in (out / 'checkpoints').iterdir())
    assert names == ['last.ckpt', 'last.previous.ckpt']


class TestFindResume:
    def test_metrics_without_a_checkpoint_are_not_overwritten(self, tmp_path):
        (tmp_path / 'csv').mkdir()
        (tmp_path / 'csv' / 'metrics.csv').write_text('step\n1\n')
        with pytest.raises(ConfigError, match='holds metrics of a run, but no checkpoint'):
            find_resume('auto', tmp_path)

    def test_a_new_run_says_so(self, tmp_path, caplog):
        with caplog.at_level('INFO'):
            assert find_resume('auto', tmp_path) is None
        assert 'no run in' in caplog.text

    def test_the_one_before_takes_the_place_of_a_lost_one(self, tmp_path):
        folder = tmp_path / 'checkpoints'
        folder.mkdir()
        (folder / 'last.previous.ckpt').write_bytes(b'x')
        assert find_resume('auto', tmp_path) == folder / 'last.previous.ckpt'
        (folder / 'last.ckpt').write_bytes(b'x')
        assert find_resume('auto', tmp_path) == folder / 'last.ckpt'


def test_a_full_disk_leaves_the_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / 'best.ckpt'
    writer = SafeCheckpointIO()
    writer.save_checkpoint({'a': torch.zeros(3)}, path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(CheckpointError, match=r"best\.ckpt': cannot be written: No space left"):
        writer.save_checkpoint({'a': torch.ones(3)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['best.ckpt']


def test_no_room_is_one_line_before_the_first_step(tiny_arguments, tmp_path, monkeypatch, capsys):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=5_000_000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    out = str(tmp_path / 'run')
    assert main_train(['joint', *tiny_arguments, '--trainer.out', out]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f'mafs-train joint: {Path(out)}: 5 MB free, expected at least ')
    assert not (Path(out) / 'checkpoints').exists()


# In a process of its own: middleware that other tests have loaded has handlers of its own.
SIGNALS = """
import os, signal
from mafs_training.interruption import StopRequest

before = signal.getsignal(signal.{name})
with StopRequest() as stop:
    signal.signal(signal.{name}, lambda *unused: None)  # as Lightning does
    stop.listen()
    os.kill(os.getpid(), signal.{name})
    assert stop.number == signal.{name}
    try:
        os.kill(os.getpid(), signal.{name})
        ended = False
    except KeyboardInterrupt:
        ended = True
    assert ended
assert signal.getsignal(signal.{name}) is before
print('done')
"""


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT'])
def test_the_second_signal_ends_at_once(name):
    done = subprocess.run(
        [sys.executable, '-c', SIGNALS.format(name=name)],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, 'done\n'), done.stderr


def test_a_resumed_epoch_draws_what_is_left_of_it():
    def draws(epoch, **resumed):
        sampler = DrawSampler(range(9), [], [1.0] * 9, batch=2, steps=4, **resumed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draws(1, resumed=(1, 3)) == draws(1)[6:]
    assert draws(2, resumed=(1, 3)) == draws(2)


def test_synchronised_normalisation_is_refused_on_a_cpu(tiny_arguments, tmp_path):
    arguments = [*tiny_arguments, '--trainer.out', str(tmp_path / 'x')]
    config = parse_stage('joint', [*arguments, '--trainer.sync_batchnorm', 'true'])
    with pytest.raises(ConfigError, match='sync_batchnorm is True, expected false with'):
        run(config)
