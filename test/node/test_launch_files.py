"""
Launch files: run with recording doubles everywhere, and with the real package where installed.

The doubles accept only the arguments that launch and launch_ros of Humble to Kilted have, so that
a misspelt one fails here too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
import shutil
import subprocess
import sys
from types import ModuleType
from typing import Any

from mafs_model.errors import MafsError
from mafs_model.topics import CAMERA_INFO_INPUT, DEPTH_INPUT, INPUT_TOPICS
from mafs_ros.parameters import TABLE
import pytest
import yaml

pytest.importorskip('lifecycle_msgs.msg')

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]
LAUNCH = sorted((ROOT / 'launch').glob('*.launch.py'))

PROCESS = {'additional_env', 'output', 'condition', 'name', 'on_exit'}
NODE = PROCESS | {'package', 'executable', 'namespace', 'parameters', 'remappings', 'arguments'}
# Module -> name -> (positional arguments, keyword arguments) that exist.
SIGNATURES: dict[str, dict[str, tuple[int, set[str]]]] = {
    'ament_index_python': {},
    'launch': {'LaunchDescription': (1, set())},
    'launch.actions': {
        'DeclareLaunchArgument': (1, {'default_value', 'description', 'choices', 'condition'}),
        'EmitEvent': (0, {'event', 'condition'}),
        'IncludeLaunchDescription': (1, {'launch_arguments', 'condition'}),
        'LogInfo': (0, {'msg', 'condition'}),
        'OpaqueFunction': (0, {'function', 'args', 'kwargs', 'condition'}),
    },
    'launch.events': {'Shutdown': (0, {'reason', 'due_to_sigint'})},
    'launch.launch_description_sources': {'PythonLaunchDescriptionSource': (1, set())},
    'launch.logging': {},
    'launch.substitutions': {
        'EnvironmentVariable': (1, {'default_value'}),
        'LaunchConfiguration': (1, {'default'}),
        'PathJoinSubstitution': (1, set()),
    },
    'launch_ros': {},
    'launch_ros.actions': {'LifecycleNode': (0, NODE), 'Node': (0, NODE)},
    'launch_ros.substitutions': {'FindPackageShare': (1, set())},
}


class Context:
    """Stands for the LaunchContext: the values of the arguments, and the command line."""

    def __init__(self, values: dict[str, str], argv: tuple[str, ...] = ()) -> None:
        self.values, self.argv, self.is_shutdown = values, argv, False


class Double:
    """Stands for an object of launch: keeps its type and its arguments."""

    def __init__(self, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.kind, self.arguments, self.options = kind, arguments, options

    def perform(self, context: Context) -> str:
        """Return the value of a launch configuration, as set or by default."""
        assert self.kind == 'LaunchConfiguration'
        return context.values[self.arguments[0]]

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


def write_bag(folder: Path, topics: dict[str, str]) -> Path:
    folder.mkdir()
    listed = [
        {'topic_metadata': {'name': name, 'type': kind}, 'message_count': 7}
        for name, kind in topics.items()
    ]
    content = {'rosbag2_bagfile_information': {'topics_with_message_count': listed}}
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(content), encoding='utf-8')
    return folder


def constructor(name: str, positional: int, keywords: set[str]) -> Any:
    def construct(*arguments: Any, **options: Any) -> Double:
        assert len(arguments) <= positional, f'{name} takes {positional} positional arguments'
        assert set(options) <= keywords, f'{name} has no {set(options) - keywords}'
        return Double(name, arguments, options)

    return construct


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """Replace launch by doubles; return the set of packages that the index shall have."""
    installed = {'mafs_ros'}
    for module_name, names in SIGNATURES.items():
        module = ModuleType(module_name)
        module.__path__ = []  # type: ignore[attr-defined]
        for name, (positional, keywords) in names.items():
            setattr(module, name, constructor(name, positional, keywords))
        monkeypatch.setitem(sys.modules, module_name, module)
    packages = ModuleType('ament_index_python.packages')
    missing = type('PackageNotFoundError', (LookupError,), {})

    def share(name: str) -> str:
        if name not in installed:
            raise missing(name)
        return str(ROOT)

    packages.PackageNotFoundError = missing  # type: ignore[attr-defined]
    packages.get_package_share_directory = share  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'ament_index_python.packages', packages)
    logs = type('LaunchConfig', (), {'log_dir': str(tmp_path)})
    sys.modules['launch.logging'].launch_config = logs  # type: ignore[attr-defined]
    return installed


def load(path: Path) -> Any:
    """Return the module of a launch file."""
    spec = importlib.util.spec_from_file_location(path.name.replace('.', '_'), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared(description: Double) -> dict[str, Any]:
    return {
        d.arguments[0]: d.options.get('default_value')
        for d in description.find('DeclareLaunchArgument')
    }


def started(name: str, argv: tuple[str, ...] = (), **values: str) -> list[Double]:
    """Return what a launch file starts with these arguments."""
    module = load(ROOT / 'launch' / name)
    description = module.generate_launch_description()
    defaults = {
        key: '' if default is None or not isinstance(default, str) else default
        for key, default in declared(description).items()
    }
    defaults['params_file'] = str(ROOT / 'config/mafs_fusion.yaml')
    (function,) = description.find('OpaqueFunction')
    result: list[Double] = function.options['function'](Context(defaults | values, argv))
    return result


def load_description(name: str) -> Any:
    """Return what a launch file describes."""
    return load(ROOT / 'launch' / name).generate_launch_description()


def found(actions: list[Double], kind: str) -> list[Double]:
    return [double for action in actions for double in action.find(kind)]


@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_every_argument_is_declared_and_described(doubles: set[str], path: Path) -> None:
    description = load(path).generate_launch_description()
    assert all(d.options['description'] for d in description.find('DeclareLaunchArgument'))
    assert len(declared(description)) >= 7


def test_node_starts_itself_once(doubles: set[str]) -> None:
    # No event of launch: a handler would activate again after deactivate, cleanup, configure.
    (node,) = started('fusion.launch.py')
    assert node.kind == 'LifecycleNode'
    assert node.options['executable'] == 'fusion_node'
    assert node.options['parameters'][-1] == {'autostart': True, 'use_sim_time': False}
    (node,) = started('fusion.launch.py', autostart='false', use_sim_time='True')
    assert node.options['parameters'][-1] == {'autostart': False, 'use_sim_time': True}


def test_memory_and_transport_settings_reach_the_node(doubles: set[str]) -> None:
    (node,) = started('fusion.launch.py')
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


def test_remapped_topics_are_those_of_the_node(doubles: set[str]) -> None:
    (node,) = started('fusion.launch.py')
    remapped = dict(node.options['remappings'])
    assert set(remapped) == {*INPUT_TOPICS.values(), CAMERA_INFO_INPUT, DEPTH_INPUT}
    assert all(source == target for source, target in remapped.items()), 'defaults rename nothing'
    assert started('fusion.launch.py', thermal_topic='/ir')[0].options['remappings'][2] == (
        'thermal/image_raw',
        '/ir',
    )


def test_transport_is_an_argument(doubles: set[str]) -> None:
    (node,) = started('fusion.launch.py', rgb_transport='compressed')
    assert node.options['parameters'][-1]['rgb.transport'] == 'compressed'
    assert 'thermal.transport' not in node.options['parameters'][-1]


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'params_file': '/nowhere.yaml'}, "params_file: '/nowhere.yaml': no such file"),
        ({'log_level': 'loud'}, "log_level: got 'loud', expected one of debug, info"),
        ({'autostart': 'maybe'}, "autostart: got 'maybe', expected one of true, false"),
        ({'rgb_topic': '/a b'}, "rgb_topic: got '/a b', expected the name of a topic"),
        ({'rgb_info_topic': ''}, "rgb_info_topic: got '', expected"),
        ({'thermal_topic': '/9x'}, "thermal_topic: got '/9x', expected"),
        ({'depth_topic': ''}, "depth_topic: got '', expected"),
        ({'namespace': 'a:b'}, "namespace: got 'a:b', expected"),
        ({'rgb_topic': '/c', 'thermal_topic': 'c'}, "rgb_topic and thermal_topic are both '/c'"),
        ({'thermal_transport': 'jpeg'}, "thermal_transport: got 'jpeg', expected one of raw, com"),
    ],
)
def test_wrong_argument_is_one_line(doubles: set[str], values: dict[str, str], text: str) -> None:
    with pytest.raises(MafsError) as caught:
        started('fusion.launch.py', **values)
    assert text in str(caught.value)
    assert '\n' not in str(caught.value)


def test_mistyped_argument_is_refused_on_the_command_line_only(doubles: set[str]) -> None:
    words = ('launch', 'mafs_ros', 'fusion.launch.py', 'rbg_topic:=/x')
    with pytest.raises(MafsError, match=r"'rbg_topic' is unknown \(did you mean 'rgb_topic'\?\)"):
        started('fusion.launch.py', words)
    # Included by another file, whose arguments these are.
    assert started('fusion.launch.py', ('launch', 'robot', 'robot.launch.py', 'rbg_topic:=/x'))


@pytest.mark.parametrize('name', ['fusion.launch.py', 'replay.launch.py'])
def test_end_of_a_process_ends_the_launch(doubles: set[str], name: str, bag: Path) -> None:
    values = {'bag': str(bag)} if name.startswith('replay') else {}
    kind = 'Node' if values else 'LifecycleNode'
    (process,) = found(started(name, **values), kind)
    on_exit = process.options['on_exit']
    event = type('ProcessExited', (), {'returncode': -9})
    with pytest.raises(RuntimeError, match='ended with code -9'):
        on_exit(event, Context({}))
    event.returncode = 0
    (emitted,) = on_exit(event, Context({}))
    assert emitted.options['event'].kind == 'Shutdown'
    # While the launch ends anyway, a second end of it would be an error.
    ending = Context({})
    ending.is_shutdown = True
    for event.returncode in (0, -2):
        assert on_exit(event, ending) == []


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Return a folder with the metadata of a bag as the demo records it: inputs and outputs."""
    topics = {
        '/rgb/image_raw/compressed': 'sensor_msgs/msg/CompressedImage',
        '/thermal/image_raw/compressed': 'sensor_msgs/msg/CompressedImage',
        '/rgb/camera_info': 'sensor_msgs/msg/CameraInfo',
        '/mafs_fusion/fused/image': 'sensor_msgs/msg/Image',
        '/mafs_fusion/status': 'mafs_ros/msg/FusionStatus',
    }
    return write_bag(tmp_path / 'bag', topics)


def test_replay_plays_the_inputs_only_and_sets_the_transport(doubles: set[str], bag: Path) -> None:
    actions = started('replay.launch.py', bag=str(bag), rate='2')
    (include,) = found(actions, 'IncludeLaunchDescription')
    handed_over = dict(include.options['launch_arguments'])
    fusion = declared(load(ROOT / 'launch/fusion.launch.py').generate_launch_description())
    assert set(handed_over) <= set(fusion)
    assert handed_over['use_sim_time'] == 'true'
    assert handed_over['rgb_topic'] == '/rgb/image_raw'
    assert handed_over['rgb_transport'] == handed_over['thermal_transport'] == 'compressed'
    (player,) = found(actions, 'Node')
    assert player.options['arguments'] == [
        '--node', '/mafs_fusion', '--rate', '2', str(bag), '/rgb/image_raw/compressed',
        '/thermal/image_raw/compressed', '/rgb/camera_info',
    ]  # fmt: skip
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE' in player.options['additional_env']
    (player,) = found(started('replay.launch.py', bag=str(bag), loop='true'), 'Node')
    assert '--loop' in player.options['arguments']


def test_replay_may_stay_after_the_bag(doubles: set[str], bag: Path) -> None:
    (player,) = found(started('replay.launch.py', bag=str(bag), keep='true'), 'Node')
    assert player.options['on_exit'](type('E', (), {'returncode': 0}), Context({})) == []


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'bag': '/nowhere'}, 'bag /nowhere does not exist'),
        ({'rate': 'fast'}, "rate: got 'fast', expected a number 0.01 to 100"),
        ({'rate': '-1'}, "rate: got '-1'"),
        ({'rate': 'nan'}, "rate: got 'nan'"),
        ({'rgb_topic': '/other'}, "has no images on '/other', image topics there: /mafs"),
        ({'rviz': 'perhaps'}, "rviz: got 'perhaps', expected one of true, false, auto"),
        ({'rviz': 'true'}, 'rviz2 is not installed'),
        ({'loop': '1'}, "loop: got '1', expected one of true, false"),
    ],
)
def test_wrong_replay_is_one_line(
    doubles: set[str], bag: Path, values: dict[str, str], text: str
) -> None:
    with pytest.raises((MafsError, RuntimeError)) as caught:
        started('replay.launch.py', **{'bag': str(bag), **values})
    assert text in str(caught.value)
    assert '\n' not in str(caught.value)


def test_rviz_where_it_is_installed(doubles: set[str], bag: Path, tmp_path: Path) -> None:
    assert found(started('replay.launch.py', bag=str(bag)), 'LogInfo')
    doubles.add('rviz2')
    actions = started('replay.launch.py', bag=str(bag), namespace='robot')
    (viewer,) = [n for n in found(actions, 'Node') if n.options['package'] == 'rviz2']
    layout = Path(viewer.options['arguments'][1]).read_text(encoding='utf-8')
    assert 'Value: /rgb/image_raw/compressed' in layout
    assert 'Value: /robot/mafs_fusion/fused/image' in layout
    assert not [
        a for a in started('replay.launch.py', bag=str(bag), rviz='false') if a.kind == 'LogInfo'
    ]


def test_demo_is_the_replay_of_its_bag(
    doubles: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MAFS_ENV', str(tmp_path / 'clone'))
    with pytest.raises(MafsError, match="run 'make demo'") as caught:
        started('demo.launch.py')
    assert '\n' not in str(caught.value)
    bag = tmp_path / 'clone/out/demo/bag'
    bag.mkdir(parents=True)
    (include,) = started('demo.launch.py', rate='2.0')
    assert ['launch', 'replay.launch.py'] in [
        d.arguments[0][1:] for d in include.find('PathJoinSubstitution')
    ]
    handed_over = dict(include.options['launch_arguments'])
    assert handed_over['bag'] == str(bag)
    assert (handed_over['rate'], handed_over['loop'], handed_over['rviz']) == (
        '2.0', 'true', 'auto',
    )  # fmt: skip
    assert set(handed_over) <= set(declared(load_description('replay.launch.py')))
    (include,) = started('demo.launch.py', bag='/other')
    assert dict(include.options['launch_arguments'])['bag'] == '/other'


def test_example_with_drivers_names_their_topics(doubles: set[str]) -> None:
    (include,) = started('realsense_flir.launch.py')
    handed_over = dict(include.options['launch_arguments'])
    assert handed_over['rgb_topic'] == '/camera/camera/color/image_raw'
    assert handed_over['rgb_info_topic'] == '/camera/camera/color/camera_info'
    assert handed_over['thermal_topic'] == '/flir_camera/image_raw'
    assert set(handed_over) <= set(declared(load_description('fusion.launch.py')))
    (node,) = started('fusion.launch.py', **handed_over)
    assert ('thermal/image_raw', '/flir_camera/image_raw') in node.options['remappings']
    depth = '/camera/camera/aligned_depth_to_color/image_raw'
    assert (DEPTH_INPUT, depth) in node.options['remappings']


@pytest.mark.parametrize('name', ['demo.launch.py', 'realsense_flir.launch.py'])
def test_mistyped_argument_of_an_example_is_refused(doubles: set[str], name: str) -> None:
    with pytest.raises(MafsError, match="argument 'rvis' is unknown"):
        started(name, argv=(name, 'rvis:=true'))


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
    assert {'namespace', 'params_file', 'log_level'} <= names


@pytest.mark.launch
@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (['fusion.launch.py', 'rbg_topic:=/x'], "argument 'rbg_topic' is unknown"),
        (['fusion.launch.py', 'log_level:=loud'], "log_level: got 'loud'"),
        (['fusion.launch.py', 'params_file:=/nowhere.yaml'], 'no such file'),
        (['replay.launch.py', 'bag:=/nowhere'], 'bag /nowhere does not exist'),
    ],
)
def test_real_launch_ends_with_one_line_and_a_code(words: list[str], text: str) -> None:
    pytest.importorskip('launch_ros', reason='launch_ros is not installed')
    if shutil.which('ros2') is None:
        pytest.skip('ros2 is not installed')
    done = subprocess.run(
        ['ros2', 'launch', 'mafs_ros', *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert 'Traceback' not in done.stderr + done.stdout
    (line,) = [x for x in (done.stderr + done.stdout).splitlines() if '[ERROR]' in x]
    assert text in line


def test_parameter_file_is_for_any_node_name() -> None:
    content = yaml.safe_load((ROOT / 'config/mafs_fusion.yaml').read_text(encoding='utf-8'))
    assert list(content) == ['/**']
    assert list(content['/**']) == ['ros__parameters']
