"""Every topic and field named in config/ exists in the real node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import configparser
import json
from pathlib import Path
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_model.topics import absolute, LABEL_INFO_TOPIC
from mafs_ros import layouts
from mafs_ros.msg import FusionStatus

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def topics(make_node: Callable[..., Any]) -> set[str]:
    """Return all topics of an active node."""
    node = make_node(weights='classical')
    node.trigger_configure()
    node.trigger_activate()
    return {e.topic_name for e in (*node.publishers, *node.subscriptions)}


def texts(value: Any) -> Iterator[str]:
    """Yield every text in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def test_rviz_shows_topics_of_the_node(topics: set[str]) -> None:
    content = yaml.safe_load((ROOT / 'config/mafs.rviz').read_text(encoding='utf-8'))
    displays = content['Visualization Manager']['Displays']
    shown = {display['Topic']['Value'] for display in displays}
    assert len(shown) == len(displays) == 4
    assert shown <= topics
    for display in displays:
        # A reliable reader would get nothing from a camera driver with sensor-data QoS.
        from_camera = not display['Topic']['Value'].startswith('/mafs_fusion/')
        policy = display['Topic']['Reliability Policy']
        assert policy == ('Best Effort' if from_camera else 'Reliable')


def test_foxglove_shows_topics_and_fields_of_the_node(topics: set[str]) -> None:
    content = json.loads((ROOT / 'config/foxglove_layout.json').read_text(encoding='utf-8'))
    names = [text for text in texts(content['configById']) if text.startswith('/')]
    assert len(names) >= 8
    fields = FusionStatus.get_fields_and_field_types()
    for name in names:
        topic, _, field = name.partition('.')
        assert topic in topics, name
        assert not field or field in fields, name


@pytest.mark.parametrize('viewer', ['rviz', 'foxglove'])
@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_layouts_follow_the_real_node(
    make_node: Callable[..., Any],
    viewer: str,
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(layouts, 'get_package_share_directory', lambda name: str(ROOT))
    remapped = ['-r', '__ns:=/robot/front', '-r', 'rgb/image_raw:=/cam/image']
    node = make_node(
        arguments=['--ros-args', *remapped], weights='classical', rgb__transport=transport
    )
    node.trigger_configure()
    node.trigger_activate()
    names = {e.topic_name for e in (*node.publishers, *node.subscriptions)}
    words = ['--namespace', 'robot/front', '--rgb-topic', '/cam/image']
    assert layouts.main([viewer, *words, '--rgb-transport', transport]) == 0
    text = capsys.readouterr().out
    content = json.loads(text)['configById'] if viewer == 'foxglove' else yaml.safe_load(text)
    shown = {t.partition('.')[0] for t in texts(content) if re.fullmatch(r'/[\w/.]+', t)}
    assert len(shown) >= 4
    assert shown <= names


def test_layout_of_one_topic_for_both_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert layouts.main(['rviz', '--rgb-topic', '/a', '--thermal-topic', '/a']) == 2
    assert capsys.readouterr().err.startswith('error: rgb_topic and thermal_topic are both')


def test_unit_of_systemd_ends_the_launch_as_a_user_would() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / 'config/mafs_fusion.service', encoding='utf-8')
    service = unit['Service']
    assert service['KillSignal'] == 'SIGINT'
    assert service['Restart'] == 'on-failure'
    launch = (ROOT / 'launch/fusion.launch.py').read_text(encoding='utf-8')
    given = re.findall(r'(\w+):=', service['ExecStart'])
    assert given
    assert all(f"'{name}': (" in launch for name in given)


def test_foxglove_lays_out_every_panel_once() -> None:
    content = json.loads((ROOT / 'config/foxglove_layout.json').read_text(encoding='utf-8'))

    def panels(node: Any) -> list[str]:
        return (
            [node] if isinstance(node, str) else [*panels(node['first']), *panels(node['second'])]
        )

    assert sorted(panels(content['layout'])) == sorted(content['configById'])


def test_profile_gives_every_participant_a_segment_that_holds_images() -> None:
    root = ET.parse(ROOT / 'config/fastdds_shm.xml').getroot()
    space = {'d': 'http://www.eprosima.com'}
    (segment,) = root.findall('.//d:segment_size', space)
    assert int(segment.text or 0) >= 4 * 1280 * 720 * 3
    used = [e.text for e in root.findall('.//d:userTransports/d:transport_id', space)]
    defined = [e.text for e in root.findall('.//d:transport_descriptor/d:transport_id', space)]
    assert used == defined
    (participant,) = root.findall('.//d:participant', space)
    assert participant.get('is_default_profile') == 'true'


@pytest.mark.parametrize('document', ['docs/node.md', 'docs/ros.md'])
def test_documented_topics_are_those_of_the_node(topics: set[str], document: str) -> None:
    text = (ROOT / document).read_text(encoding='utf-8')
    for topic in topics - {'/rosout', '/parameter_events', '/mafs_fusion/transition_event'}:
        relative = topic.replace('/mafs_fusion/', '~/', 1)
        relative = relative if relative in ('/diagnostics', '/clock') else relative.lstrip('/')
        assert f'`{relative}`' in text, f'{document} does not mention {relative}'


def test_nav2_layer_takes_topics_and_classes_of_the_node(make_node: Callable[..., Any]) -> None:
    from mafs_model.classes import ClassTable

    content = yaml.safe_load((ROOT / 'config/nav2_semantic_layer.yaml').read_text('utf-8'))
    parameters = content['local_costmap']['local_costmap']['ros__parameters']
    assert set(parameters['plugins']) <= set(parameters)
    layer = parameters['semantic_layer']
    source = layer[layer['observation_sources']]
    node = make_node(weights='classical')
    node.trigger_configure()
    published = {p.topic_name: p.msg_type.__name__ for p in node.publishers}
    expected = {'segmentation': 'Image', 'confidence': 'Image', 'pointcloud': 'PointCloud2'}
    for name, kind in expected.items():
        assert published[source[f'{name}_topic']] == kind
    # Published where vision_msgs is installed.
    assert source['labels_topic'] == absolute(LABEL_INFO_TOPIC)
    named = [name for kind in source['class_types'] for name in source[kind]['classes']]
    assert sorted(named) == sorted(set(ClassTable.load('mfnet').names) - {'unlabelled'})
    for kind in source['class_types']:
        assert 0 <= source[kind]['base_cost'] <= source[kind]['max_cost'] <= 254
