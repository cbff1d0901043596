"""What launch files check and choose: parameter files, bags, layouts."""

from __future__ import annotations

import json
from pathlib import Path

from mafs_model.errors import BagError, ConfigError
from mafs_ros import launching
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


@pytest.mark.parametrize(
    ('key', 'namespace'),
    [
        ('/**', ''),
        ('/**', 'robot'),
        ('mafs_fusion', ''),
        ('/mafs_fusion', ''),
        ('/robot/mafs_fusion', 'robot'),
        ('/robot/**', '/robot'),
        ('/*/mafs_fusion', 'robot'),
        ('/**/mafs_fusion', 'a/b'),
        ('/*', ''),
    ],
)
def test_file_for_this_node(key: str, namespace: str, tmp_path: Path) -> None:
    path = tmp_path / 'p.yaml'
    path.write_text(yaml.safe_dump({key: {'ros__parameters': {'threads': 1}}}), encoding='utf-8')
    launching.check_parameters(path, namespace)


def test_nested_namespace(tmp_path: Path) -> None:
    path = tmp_path / 'p.yaml'
    content = {'robot': {'mafs_fusion': {'ros__parameters': {'threads': 1}}}}
    path.write_text(yaml.safe_dump(content), encoding='utf-8')
    launching.check_parameters(path, 'robot')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('mafs_fusoin: {ros__parameters: {a: 1}}', 'for /mafs_fusoin and none for /mafs_fusion'),
        ('/other/mafs_fusion: {ros__parameters: {a: 1}}', 'none for /mafs_fusion'),
        ('a: [1, 2', 'not valid YAML: while parsing'),
        ('mafs_fusion: {threads: 1}', 'has no parameters, expected NODE: ros__parameters'),
        ('', 'has no parameters'),
        ('- 1', 'has no parameters'),
        ('mafs_fusion: {ros__parameters: 3}', 'has no parameters'),
        ('\x00', 'not valid YAML'),
        ('[' * 3000, 'not plain YAML'),
        ('a: 2024-13-99', 'not plain YAML'),
    ],
)
def test_file_that_ros_would_ignore_or_choke_on(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / 'p.yaml'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ConfigError) as caught:
        launching.check_parameters(path, '')
    assert said in str(caught.value)
    assert '\n' not in str(caught.value)


def test_folder_and_bytes_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='no such file'):
        launching.check_parameters(tmp_path, '')
    (tmp_path / 'x').write_bytes(b'\xff\xfe\xfa')
    with pytest.raises(ConfigError, match="cannot be read: 'utf-8' codec"):
        launching.check_parameters(tmp_path / 'x', '')


def bag(folder: Path, topics: dict[str, str]) -> Path:
    listed = [
        {'topic_metadata': {'name': name, 'type': kind}, 'message_count': 7}
        for name, kind in topics.items()
    ]
    content = {'rosbag2_bagfile_information': {'topics_with_message_count': listed}}
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(content), encoding='utf-8')
    return folder


def test_raw_goes_before_compressed(tmp_path: Path) -> None:
    path = bag(
        tmp_path,
        {
            '/rgb/image_raw': IMAGE,
            '/rgb/image_raw/compressed': COMPRESSED,
            '/ir/image/compressed': COMPRESSED,
        },
    )
    plan = launching.plan_replay(path)
    assert (plan.rgb_topic, plan.rgb_transport) == ('/rgb/image_raw', 'raw')
    assert (plan.thermal_topic, plan.thermal_transport) == ('/ir/image', 'compressed')
    assert plan.topics == ('/ir/image/compressed', '/rgb/image_raw')
    assert plan.rgb_info_topic == '/rgb/camera_info'


def test_named_topics_with_and_without_suffix(tmp_path: Path) -> None:
    path = bag(tmp_path, {'/a/compressed': COMPRESSED, '/b': IMAGE, '/c': IMAGE})
    for name in ('/a', '/a/compressed', 'a'):
        plan = launching.plan_replay(path, name, '/c')
        assert (plan.rgb_topic, plan.rgb_transport) == ('/a', 'compressed')
        assert plan.topics == ('/a/compressed', '/c')


@pytest.mark.parametrize(
    ('topics', 'named', 'said'),
    [
        ({'/a': IMAGE, '/b': IMAGE, '/c': IMAGE}, ('', ''), 'name it by thermal_topic'),
        ({'/a': IMAGE, '/b': IMAGE}, ('/a', '/a'), 'rgb_topic and thermal_topic are both /a'),
        ({'/rgb': IMAGE, '/thermal': 'std_msgs/msg/String'}, ('', '/thermal'), 'no images on'),
        ({'/rgb/jpeg': COMPRESSED, '/thermal': IMAGE}, ('', ''), 'ends in /compressed'),
        ({}, ('', ''), 'no image topic there'),
    ],
)
def test_bag_that_does_not_tell(
    topics: dict[str, str], named: tuple[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BagError) as caught:
        launching.plan_replay(bag(tmp_path, topics), *named)
    assert said in str(caught.value)


@pytest.mark.parametrize('text', ['', '[]', 'a: b', 'rosbag2_bagfile_information: 3', '{', '\x00'])
def test_damaged_metadata_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / 'metadata.yaml').write_text(text, encoding='utf-8')
    with pytest.raises(BagError, match='is not the metadata of a rosbag2 bag') as caught:
        launching.plan_replay(tmp_path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['mafs.rviz', 'foxglove_layout.json'])
def test_layout_follows_namespace_names_and_transport(name: str) -> None:
    text = (ROOT / 'config' / name).read_text(encoding='utf-8')
    raw = {'rgb': 'raw', 'thermal': 'raw'}
    defaults = {'rgb': 'rgb/image_raw', 'thermal': 'thermal/image_raw'}
    assert launching.relocate_layout(text, '', defaults, raw) == text
    moved = launching.relocate_layout(
        text,
        'robot',
        {'rgb': '/cam/image', 'thermal': 'ir'},
        {'rgb': 'compressed', 'thermal': 'raw'},
    )
    content = json.loads(moved) if name.endswith('json') else yaml.safe_load(moved)
    assert content
    for topic in ('/cam/image/compressed', '/robot/ir', '/robot/mafs_fusion/fused/image'):
        assert topic in moved
    assert '/rgb/image_raw' not in moved
    assert '/thermal/image_raw' not in moved
    assert '"/mafs_fusion' not in moved
    assert ' /mafs_fusion' not in moved
