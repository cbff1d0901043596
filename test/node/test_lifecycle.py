"""Transitions of the real node without the graph: order, repetition, failure, recovery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import pickle
import threading
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

pytestmark = pytest.mark.ros
MakeNode = Callable[..., Any]
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


def state(node: Any) -> str:
    label: str = node._state_machine.current_state[1]
    return label


def resources(node: Any) -> dict[str, int]:
    """Return what a transition could leak."""
    return {
        'threads': threading.active_count(),
        'publishers': len(list(node.publishers)),
        'subscriptions': len(list(node.subscriptions)),
        'timers': len(list(node.timers)),
        'services': len(list(node.services)),
        'managed': len(node._managed_entities),
    }


def test_the_whole_life(make_node: MakeNode) -> None:
    node = make_node()
    assert state(node) == 'unconfigured'
    start = resources(node)
    assert node.trigger_configure() == SUCCESS
    assert state(node) == 'inactive'
    configured = resources(node)
    assert configured['publishers'] >= start['publishers'] + 7
    assert configured['subscriptions'] == start['subscriptions'], 'no input before activate'
    assert configured['threads'] == start['threads']
    assert node.trigger_activate() == SUCCESS
    assert state(node) == 'active'
    active = resources(node)
    assert active['subscriptions'] == start['subscriptions'] + 3
    assert active['threads'] == start['threads'] + 1
    assert node.trigger_deactivate() == SUCCESS
    assert resources(node) == configured
    assert node.trigger_cleanup() == SUCCESS
    assert resources(node) == start
    assert node.trigger_shutdown() == SUCCESS
    assert state(node) == 'finalized'


def test_graph_for_both_cameras_only_makes_a_node_that_says_what_it_lacks(
    make_node: MakeNode, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    from mafs_model.checkpoint import load_checkpoint
    from mafs_model.runtime.export import export_graph

    monkeypatch.setenv('MAFS_CACHE_DIR', str(tmp_path / 'cache'))
    graph = export_graph(load_checkpoint(small_weights), tmp_path / 'w.onnx', 'onnx').path
    node = make_node(
        weights=str(graph),
        device='cpu',
        threads=1,
        inference__size='128x96',
        thermal__on_shutter='visible_only',
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    standby = node._standby
    standby.tick(node._inference.predictor)
    standby.stop(60.0)
    assert set(standby.lacking) == {'visible', 'thermal'}
    assert 'for the thermal camera alone' in standby.lacking['thermal']
    assert '--modes thermal_only' in standby.lacking['thermal']
    assert standby.state == 'none ready for 128x96'
    assert not node._intake._alignment._serves('visible')
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS


@pytest.mark.parametrize(
    'steps',
    [[], ['configure'], ['configure', 'activate']],
    ids=['unconfigured', 'inactive', 'active'],
)
def test_shutdown_from_every_state(make_node: MakeNode, steps: list[str]) -> None:
    node = make_node()
    start = resources(node)
    for step in steps:
        assert getattr(node, f'trigger_{step}')() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS
    assert state(node) == 'finalized'
    assert resources(node) == start


def rss_mib() -> float:
    for line in Path('/proc/self/status').read_text(encoding='ascii').splitlines():
        if line.startswith('VmRSS'):
            return int(line.split()[1]) / 1024
    raise RuntimeError('no VmRSS')


@pytest.mark.timeout(900)
def test_lives_leak_nothing(make_node: MakeNode) -> None:
    node = make_node(device='cpu')

    def live() -> None:
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS

    # Caches of the allocator and of DDS fill up: of 125 lives the first 35 took 11 MiB, the
    # other 90 took 2; behind a thousand other tests they fill later. A leak grows in every block.
    for _ in range(12):
        live()
    start, grown = resources(node), []
    for _ in range(3):
        memory = rss_mib()
        for _ in range(8):
            live()
        grown.append(rss_mib() - memory)
    assert resources(node) == start
    assert min(grown) < 2.0, grown


def test_fifty_activations_leak_nothing(make_node: MakeNode) -> None:
    node = make_node(device='cpu')
    assert node.trigger_configure() == SUCCESS
    start = resources(node)
    for _ in range(50):
        assert node.trigger_activate() == SUCCESS
        assert node.trigger_deactivate() == SUCCESS
    assert resources(node) == start


def truncated_weights(folder: Path) -> Path:
    path = folder / 'truncated.safetensors'
    path.write_bytes((1000).to_bytes(8, 'little') + b'{"a": {"dtype": "F32", "sha')
    return path


def foreign_weights(folder: Path) -> Path:
    safetensors = pytest.importorskip('safetensors.numpy')
    import numpy as np

    path = folder / 'foreign.safetensors'
    safetensors.save_file({'layer.weight': np.zeros((3, 3), np.float32)}, str(path))
    return path


def weights_of_another_architecture(folder: Path) -> Path:
    torch = pytest.importorskip('torch')
    from mafs_model.checkpoint import build_metadata, save_checkpoint
    from mafs_model.classes import ClassTable
    from mafs_model.network.config import create_config
    from mafs_model.network.mafs import MAFS

    model = MAFS(create_config('mafs_t', num_classes=9))
    state = dict(model.state_dict())
    del state[min(state)]
    state[max(state)] = torch.zeros(1, 2, 3)
    state['foreign.weight'] = torch.zeros(3)
    path = folder / 'other.safetensors'
    save_checkpoint(path, state, build_metadata(model.config.to_dict(), ClassTable.load('mfnet')))
    return path


def pickled_weights(folder: Path) -> Path:
    path = folder / 'weights.pth'
    path.write_bytes(pickle.dumps({'state_dict': {}}))
    return path


def missing_weights(folder: Path) -> Path:
    return folder / 'missing.safetensors'


def malformed_classes(folder: Path) -> Path:
    path = folder / 'classes.yaml'
    path.write_text('dataset: mine\nclasses: [{id: 5, name: car, color: [1, 2, 3]}]\n')
    return path


def malformed_homography(folder: Path) -> Path:
    path = folder / 'homography.yaml'
    path.write_text('homography: [[1, 0], [0, 1]]\n')
    return path


@pytest.mark.parametrize(
    ('name', 'make', 'words', 'correct'),
    [
        ('weights', missing_weights, 'missing.safetensors', 'classical'),
        ('weights', truncated_weights, 'truncated.safetensors', 'classical'),
        ('weights', foreign_weights, 'foreign.safetensors', 'classical'),
        ('weights', weights_of_another_architecture, 'other.safetensors', 'classical'),
        ('weights', pickled_weights, 'weights.pth', 'classical'),
        ('classes.table', lambda folder: 'cityscapes', "'cityscapes'", 'mfnet'),
        ('classes.table', malformed_classes, 'classes.yaml', ''),
        ('thermal.homography_file', malformed_homography, 'homography.yaml', ''),
        ('thermal.homography_file', lambda folder: folder / 'none.yaml', 'none.yaml', ''),
    ],
)
def test_bad_file_is_logged_and_can_be_corrected(
    make_node: MakeNode,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    make: Callable[[Path], Any],
    words: str,
    correct: str,
) -> None:
    # Libraries of other backends keep threads of their own from their import on.
    node = make_node(backend='torch', **{name.replace('.', '__'): str(make(tmp_path))})
    start = resources(node)
    assert node.trigger_configure() == FAILURE
    assert state(node) == 'unconfigured'
    log = capfd.readouterr().err
    assert 'configure failed: ' in log
    assert words in log
    assert 'Traceback' not in log
    assert resources(node) == start
    assert node.set_parameters([Parameter(name, value=correct)])[0].successful
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS


@pytest.mark.parametrize(
    ('name', 'value', 'words', 'correct'),
    [
        ('sync.slop', 'wide', "sync.slop: got 'wide', expected a number 0.0001 to 10 s", 0.03),
        (
            'thermal.homography',
            [0.0] * 9,
            'thermal.homography: got [0.0, ',
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        ),
        ('threads', 1000, 'threads: got 1000, expected a whole number 0 to 256', 1),
        (
            'classes.keep',
            ['person', 'horse'],
            "classes.keep: got 'horse', expected names out of unlabelled, car, person, bike",
            ['person'],
        ),
        (
            'classes.merge',
            ['vehicles=car+truck'],
            "classes.merge: got 'truck', expected names out of unlabelled, car, person, bike",
            ['vehicles=car+bike'],
        ),
        (
            'classes.merge',
            ['person=car+bike'],
            "classes.merge: got 'person' as the name",
            ['a=car'],
        ),
        ('autostart', 'maybe', "autostart: got 'maybe', expected true or false", False),
    ],
)
def test_bad_value_is_logged_and_can_be_corrected(
    make_node: MakeNode,
    capfd: pytest.CaptureFixture[str],
    name: str,
    value: Any,
    words: str,
    correct: Any,
) -> None:
    node = make_node(**{name.replace('.', '__'): value})
    assert node.trigger_configure() == FAILURE
    assert words in capfd.readouterr().err
    assert node.set_parameters([Parameter(name, value=correct)])[0].successful
    assert node.trigger_configure() == SUCCESS


def test_absent_gpu_refuses_and_auto_falls_back(
    make_node: MakeNode, capfd: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip('torch')
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    node = make_node(device='cuda')
    assert node.trigger_configure() == FAILURE
    assert "device 'cuda': no CUDA device found" in capfd.readouterr().err
    assert node.set_parameters([Parameter('device', value='auto')])[0].successful
    assert node.trigger_configure() == SUCCESS


def test_synchroniser_that_is_not_installed(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from mafs_ros import sync

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(sync.importlib, 'import_module', missing)
    node = make_node(sync__policy='approximate')
    assert node.trigger_configure() == FAILURE
    assert 'message_filters is not installed' in capfd.readouterr().err
    assert node.set_parameters([Parameter('sync.policy', value='nearest')])[0].successful
    monkeypatch.undo()
    assert node.trigger_configure() == SUCCESS


def test_unexpected_failure_is_logged_with_traceback(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from mafs_ros import node as module

    def broken(*unused: Any) -> Any:
        raise OSError('no memory for publishers')

    node = make_node()
    start = resources(node)
    monkeypatch.setattr(module, 'OutputPublishers', broken)
    assert node.trigger_configure() == FAILURE
    log = capfd.readouterr().err
    assert 'no memory for publishers' in log
    assert 'Traceback' in log
    assert resources(node) == start
    monkeypatch.undo()
    assert node.trigger_configure() == SUCCESS


def test_failed_activate_leaves_the_node_inactive(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mafs_ros import intake as module

    def broken(*unused: Any) -> Any:
        raise OSError('no subscriptions left')

    node = make_node()
    assert node.trigger_configure() == SUCCESS
    start = resources(node)
    monkeypatch.setattr(module, 'CameraInputs', broken)
    assert node.trigger_activate() == FAILURE
    assert state(node) == 'inactive'
    monkeypatch.undo()
    assert resources(node)['subscriptions'] == start['subscriptions']
    assert node.trigger_activate() == SUCCESS


def test_stuck_inference_ends_in_a_state_that_recovers(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    node.stop_timeout_s = 0.1
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    release, running = threading.Event(), threading.Event()

    def stuck(job: Any) -> None:
        running.set()
        release.wait(10.0)

    worker = node._processor._worker
    monkeypatch.setattr(worker, '_handle', stuck)
    worker.put(object())
    assert running.wait(5.0)
    assert node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert state(node) == 'unconfigured'
    release.set()
    assert worker.stop(5.0)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS


def test_weights_file_is_never_unpickled(make_node: MakeNode, tmp_path: Path) -> None:
    marker = tmp_path / 'executed'

    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str, str]]:
            return Path.write_text, (marker, 'x')  # type: ignore[return-value]

    path = tmp_path / 'bomb.safetensors'
    path.write_bytes(pickle.dumps(Bomb()))
    node = make_node(weights=str(path))
    assert node.trigger_configure() == FAILURE
    assert not marker.exists()
