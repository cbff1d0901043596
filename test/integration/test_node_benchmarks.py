"""The benchmarks of the node: short runs of the real thing, and that their bounds can break."""

from __future__ import annotations

import json
import os
from pathlib import Path
import sys
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'benchmarks'))

pytestmark = pytest.mark.ros


@pytest.fixture
def domain(ros_domain: int) -> str:
    """Return the ROS domain of this session as an argument."""
    return str(ros_domain)


def _fake_rig(**changes):
    status = {'pairs': 1000, 'processed': 1000, 'drop_reasons': [], 'drop_counts': []}
    status |= changes
    log = SimpleNamespace(read_text=lambda errors: changes.get('log', ''))
    errors = changes.get('errors', [])
    return SimpleNamespace(
        statuses=[SimpleNamespace(**status)], errors=errors, log=log, received={}
    )


def _samples(**columns):
    base = {'rss_mb': 100.0, 'threads': 9, 'files': 20, 'subscriptions': 4, 'publishers': 9}
    count = 40
    return [
        {'pair': k, **base, **{name: values(k) for name, values in columns.items()}}
        for k in range(count)
    ]


@pytest.mark.parametrize(
    ('columns', 'status', 'expected'),
    [
        ({}, {}, None),
        ({'rss_mb': lambda k: 100 + 0.2 * k}, {}, 'memory grew by 7'),
        ({'rss_mb': lambda k: 100 + 0.1 * k}, {}, None),
        ({'threads': lambda k: 9 + (k > 30)}, {}, 'threads went from 9 to 10'),
        ({'subscriptions': lambda k: 4 - (k == 3)}, {}, 'subscriptions went from 3 to 4'),
        ({}, {'log': 'Traceback (most recent call last)'}, '1 exceptions'),
        ({}, {'drop_reasons': ['internal'], 'drop_counts': [2]}, '2 exceptions'),
        ({}, {'errors': ['it broke']}, 'it broke'),
        ({}, {'pairs': 900}, '10.0% of the pairs'),
        ({}, {'processed': 500}, '50.0% of the pairs'),
    ],
)
def test_every_bound_of_the_soak_can_break(ros_domain, columns, status, expected):
    import soak

    broken = soak.judge(_fake_rig(**status), _samples(**columns), 1000)['broken']
    assert len(broken) == (0 if expected is None else 1)
    assert expected is None or expected in broken[0]


def test_short_soak(domain, tmp_path):
    import soak

    target = tmp_path / 'soak.json'
    arguments = ['--pairs', '150', '--warm-up', '60', '--size', '320x240', '--domain', domain]
    code = soak.main([*arguments, '--engine', 'classical', '--json', str(target)])
    result = json.loads(target.read_text())
    assert code == 0, result['broken']
    # Not all: a machine that stops for longer than the queues last loses some.
    assert result['pairs'] >= 0.5 * 210
    assert all(count >= 0.5 * result['processed'] for count in result['received'].values())


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not os.environ.get('MAFS_LONG_TESTS'), reason='MAFS_LONG_TESTS is not set')
def test_long_soak(domain):
    import soak

    assert soak.main(['--pairs', '10000', '--domain', domain]) == 0


def test_null_engine_has_what_the_node_asks_an_engine_for():
    from mafs_model.runtime.engine import Engine
    import null_node

    engine = null_node.NullEngine()
    members = {*Engine.__annotations__, *(name for name in vars(Engine) if name[0] != '_')}
    assert {'infer', 'why_not', 'weights_id'} <= members
    assert [name for name in members if not hasattr(engine, name)] == []


def test_overhead_is_measured(domain, tmp_path):
    import node_overhead

    target = tmp_path / 'overhead.json'
    arguments = ['--pairs', '45', '--size', '320x240', '--only-bound', '--domain', domain]
    node_overhead.main([*arguments, '--json', str(target)])
    (row,) = json.loads(target.read_text())['cases'].values()
    # What a busy machine makes of the figures is no fault: they are there, and can be true.
    assert row['pairs'] >= 10
    assert row['cpu_median_ms'] > 0.3
    assert row['inference_ms'] > 0.0


class _CountingRig:
    """A rig whose node takes 2 ms of CPU a pair, and 3 more for each output listened to."""

    def __init__(self, silent: str = '') -> None:
        self.process = SimpleNamespace(pid=1)
        self.statuses: list[int] = []
        self.received: dict[str, int] = {}
        self.listened: set[str] = set()
        self.most = 0
        self.cpu_s = 0.0
        self._silent = silent

    def listen(self, topic, kind):
        self.listened.add(topic)
        self.received[topic] = 0
        return lambda: self.listened.remove(topic)

    def play_each(self, first, count, rate_hz):
        self.most = max(self.most, len(self.listened))
        for k in range(count):
            self.statuses.append(first + k)
            self.cpu_s += 0.002 + 0.003 * len(self.listened)
            for topic in self.listened - {self._silent}:
                self.received[topic] += 1


def test_outputs_are_listened_to_alone_and_compared_with_nothing(ros_domain, monkeypatch):
    from benchmarks.bench import outputs
    from mafs_model import topics

    rig = _CountingRig()
    monkeypatch.setattr(outputs, 'process_cpu_s', lambda pid: rig.cpu_s)
    turn = outputs._Turn(rig, 10.0, 2.0)
    rows = [turn.measure_all() for _ in range(2)]
    assert rig.most == 1
    assert rig.listened == set()
    assert rig.statuses == list(range(len(rig.statuses))), 'no exposure twice'
    images = {*topics.IMAGE_TOPICS.values(), *topics.COMPRESSED_TOPICS.values()}
    assert set(rig.received) == images | {topics.OBJECTS_TOPIC, topics.POINTS_TOPIC}
    for name in rows[0]:
        figures = outputs._figures([(row[name], row['nothing']) for row in rows])
        nothing = name.startswith('nothing')
        assert figures['cpu_ms'] == pytest.approx(2.0 if nothing else 5.0)
        assert figures['extra_ms'] == pytest.approx(0.0 if nothing else 3.0)
        assert figures['pairs'] == 20
        assert figures.get('arrived') == (None if nothing else 1.0)
    rig = _CountingRig(silent=topics.POINTS_TOPIC)
    with pytest.raises(RuntimeError, match=f'nothing arrived on {topics.POINTS_TOPIC}'):
        outputs._Turn(rig, 10.0, 2.0).measure_all()


def test_start_of_a_node_is_measured_by_stages(domain, monkeypatch, capsys):
    import node_start

    monkeypatch.setenv('ROS_DOMAIN_ID', domain)
    monkeypatch.setattr(
        sys, 'argv', ['node_start.py', '--runs', '1', '--weights', 'classical', '--json']
    )
    assert node_start.main() == 0
    stages = json.loads(capsys.readouterr().out)
    assert list(stages) == list(node_start.STAGES)
    assert all(stage['cpu_s'] >= 0.0 for stage in stages.values())
    assert stages['import NumPy and OpenCV']['cpu_s'] > 0.0
