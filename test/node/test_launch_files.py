"""
Launch files: run with recording doubles everywhere, and with the real package where installed.

The doubles accept only the arguments that launch and launch_ros of Humble to Kilted have, so that
a misspelt one fails here too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

from mafs_ros.parameters import TABLE
import pytest
import yaml

pytest.importorskip('lifecycle_msgs.msg')

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]
LAUNCH = sorted((ROOT / 'launch').glob('*.launch.py'))

PROCESS = {'additional_env', 'output', 'condition', 'name'}
NODE = PROCESS | {'package', 'executable', 'namespace', 'parameters', 'remappings', 'arguments'}
# Module -> name -> (positional arguments, keyword arguments) that exist.
SIGNATURES: dict[str, dict[str, tuple[int, set[str]]]] = {
    'launch': {'LaunchDescription': (1, set())},
    'launch.actions': {
        'DeclareLaunchArgument': (1, {'default_value', 'description', 'choices', 'condition'}),
        'EmitEvent': (0, {'event', 'condition'}),
        'RegisterEventHandler': (1, {'condition'}),
        'ExecuteProcess': (0, PROCESS | {'cmd'}),
        'IncludeLaunchDescription': (1, {'launch_arguments', 'condition'}),
    },
    'launch.conditions': {'IfCondition': (1, set()), 'UnlessCondition': (1, set())},
    'launch.events': {'matches_action': (1, set())},
    'launch.launch_description_sources': {'PythonLaunchDescriptionSource': (1, set())},
    'launch.substitutions': {
        'EnvironmentVariable': (1, {'default_value'}),
        'LaunchConfiguration': (1, {'default'}),
        'PathJoinSubstitution': (1, set()),
    },
    'launch_ros': {},
    'launch_ros.actions': {'LifecycleNode': (0, NODE), 'Node': (0, NODE)},
    'launch_ros.event_handlers': {
        'OnStateTransition': (
            0,
            {'target_lifecycle_node', 'transition', 'start_state', 'goal_state', 'entities'},
        )
    },
    'launch_ros.events': {},
    'launch_ros.events.lifecycle': {
        'ChangeState': (0, {'lifecycle_node_matcher', 'transition_id'})
    },
    'launch_ros.parameter_descriptions': {'ParameterValue': (1, {'value_type'})},
    'launch_ros.substitutions': {'FindPackageShare': (1, set())},
}


class Double:
    """Stands for an object of launch: keeps its type and its arguments."""

    def __init__(self, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.kind, self.arguments, self.options = kind, arguments, options

    def find(self, kind: str) -> list[Double]:
        """Return all objects of a kind below this one, itself included, each once."""
        found = [self] if self.kind == kind else []
        for value in (*self.arguments, *self.options.values()):
            found += [d for child in _children(value) for d in child.find(kind)]
        return list({id(double): double for double in found}.values())


def _children(value: Any) -> list[Double]:
    if isinstance(value, Double):
        return [value]
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)) or type(value).__name__ == 'dict_items':
        return [d for item in value for d in _children(item)]
    return []


def constructor(name: str, positional: int, keywords: set[str]) -> Any:
    def construct(*arguments: Any, **options: Any) -> Double:
        assert len(arguments) <= positional, f'{name} takes {positional} positional arguments'
        assert set(options) <= keywords, f'{name} has no {set(options) - keywords}'
        return Double(name, arguments, options)

    return construct


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    for module_name, names in SIGNATURES.items():
        module = ModuleType(module_name)
        module.__path__ = []  # type: ignore[attr-defined]
        for name, (positional, keywords) in names.items():
            setattr(module, name, constructor(name, positional, keywords))
        monkeypatch.setitem(sys.modules, module_name, module)


def describe(path: Path) -> Any:
    """Return what generate_launch_description() of a file returns."""
    spec = importlib.util.spec_from_file_location(path.name.replace('.', '_'), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def declared(description: Double) -> dict[str, Any]:
    return {
        d.arguments[0]: d.options.get('default_value')
        for d in description.find('DeclareLaunchArgument')
    }


@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_every_argument_that_is_used_is_declared(doubles: None, path: Path) -> None:
    description = describe(path)
    used = {d.arguments[0] for d in description.find('LaunchConfiguration')}
    assert used == set(declared(description))
    assert all(d.options['description'] for d in description.find('DeclareLaunchArgument'))


def test_node_is_configured_and_activated_by_events(doubles: None) -> None:
    from lifecycle_msgs.msg import Transition

    description = describe(ROOT / 'launch/fusion.launch.py')
    (node,) = description.find('LifecycleNode')
    assert node.options['package'] == 'mafs_ros'
    assert node.options['executable'] == 'fusion_node'
    changes = description.find('ChangeState')
    assert sorted(c.options['transition_id'] for c in changes) == sorted(
        [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE]
    )
    for change in changes:
        (target,) = change.options['lifecycle_node_matcher'].arguments
        assert target is node
    (handler,) = description.find('OnStateTransition')
    assert handler.options['target_lifecycle_node'] is node
    # Deactivation also leads to inactive; only configuring may be followed by activation.
    assert handler.options['start_state'] == 'configuring'
    assert handler.options['goal_state'] == 'inactive'
    conditions = [
        d.options['condition'].arguments[0].arguments[0]
        for kind in ('EmitEvent', 'RegisterEventHandler')
        for d in description.find(kind)
        if 'condition' in d.options
    ]
    assert conditions == ['autostart', 'autostart']


def test_actions_are_in_the_order_that_events_need(doubles: None) -> None:
    (actions,) = describe(ROOT / 'launch/fusion.launch.py').arguments
    kinds = [action.kind for action in actions if action.kind != 'DeclareLaunchArgument']
    assert kinds == ['RegisterEventHandler', 'LifecycleNode', 'EmitEvent']


def test_memory_and_transport_settings_reach_the_node(doubles: None) -> None:
    (node,) = describe(ROOT / 'launch/fusion.launch.py').find('LifecycleNode')
    environment = node.options['additional_env']
    assert set(environment) == {
        'MALLOC_MMAP_THRESHOLD_',
        'MALLOC_TRIM_THRESHOLD_',
        'FASTRTPS_DEFAULT_PROFILES_FILE',
        'FASTDDS_DEFAULT_PROFILES_FILE',
    }
    for name, value in environment.items():
        assert value.kind == 'EnvironmentVariable', 'what the user has set must win'
        assert value.arguments == (name,)
    paths = [d.arguments[0][1:] for d in node.find('PathJoinSubstitution')]
    assert ['config', 'fastdds_shm.xml'] in paths


@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_files_of_the_package_exist(doubles: None, path: Path) -> None:
    description = describe(path)
    for join in description.find('PathJoinSubstitution'):
        share, *parts = join.arguments[0]
        assert share.arguments == ('mafs_ros',)
        assert ROOT.joinpath(*parts).is_file()


def test_remapped_topics_are_those_of_the_node(doubles: None) -> None:
    from mafs_ros.subscriptions import CAMERA_INFO_TOPIC, TOPICS

    description = describe(ROOT / 'launch/fusion.launch.py')
    (node,) = description.find('LifecycleNode')
    sources = {source for source, _ in node.options['remappings']}
    assert sources == {*TOPICS.values(), CAMERA_INFO_TOPIC}
    defaults = declared(description)
    for source, target in node.options['remappings']:
        assert defaults[target.arguments[0]] == source, 'a default renames nothing'


def test_replay_hands_over_only_what_the_node_file_declares(doubles: None) -> None:
    fusion = declared(describe(ROOT / 'launch/fusion.launch.py'))
    (include,) = describe(ROOT / 'launch/replay.launch.py').find('IncludeLaunchDescription')
    handed_over = dict(include.options['launch_arguments'])
    assert set(handed_over) <= set(fusion)
    assert handed_over['use_sim_time'] == 'true'


def test_player_sends_the_clock_and_has_the_profile(doubles: None) -> None:
    players = describe(ROOT / 'launch/replay.launch.py').find('ExecuteProcess')
    assert len(players) == 2
    for player in players:
        command = player.options['cmd']
        assert command[:3] == ['ros2', 'bag', 'play']
        assert '--clock' in command
        assert 'FASTRTPS_DEFAULT_PROFILES_FILE' in player.options['additional_env']
    kinds = {('--loop' in p.options['cmd'], p.options['condition'].kind) for p in players}
    assert kinds == {(True, 'IfCondition'), (False, 'UnlessCondition')}


def test_launch_files_restate_no_default_of_the_node() -> None:
    names = {row.name for row in TABLE} - {'autostart'}
    for path in LAUNCH:
        text = path.read_text(encoding='utf-8')
        assert not [name for name in names if f"'{name}'" in text]


@pytest.mark.launch
@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_real_launch_accepts_the_file(path: Path) -> None:
    pytest.importorskip('launch_ros', reason='launch_ros is not installed')
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(path))
    description = source.get_launch_description(LaunchContext())
    names = {argument.name for argument in description.get_launch_arguments()}
    assert {'rgb_topic', 'thermal_topic', 'params_file'} <= names


def test_parameter_file_is_for_any_node_name() -> None:
    content = yaml.safe_load((ROOT / 'config/mafs_fusion.yaml').read_text(encoding='utf-8'))
    assert list(content) == ['/**']
    assert list(content['/**']) == ['ros__parameters']
