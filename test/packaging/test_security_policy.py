"""The SROS2 policy names the topics of the node as they are, and nothing that is not there."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from mafs_model import topics
import pytest

BOND_TOPIC = 'bond'  # of the lifecycle manager of Nav2
ACCESS = {
    'topics': ({'publish', 'subscribe'}, 'topic'),
    'services': ({'reply', 'request'}, 'service'),
}
BY_ROS = {'rosout', 'parameter_events', 'clock', '~/transition_event', BOND_TOPIC}


@pytest.fixture(scope='module')
def policy(root: Path) -> ET.Element:
    return ET.parse(root / 'config/sros2/policy.xml').getroot()


def names(policy: ET.Element, node: str, access: str) -> set[str]:
    profile = policy.find(f".//profile[@node='{node}']")
    assert profile is not None
    return {
        entry.text or '' for group in profile if group.get(access) == 'ALLOW' for entry in group
    }


def test_structure_is_that_of_policies(policy: ET.Element) -> None:
    assert policy.tag == 'policy'
    assert policy.get('version') == '0.2.0'
    enclaves = policy.findall('./enclaves/enclave')
    assert {e.get('path') for e in enclaves} == {
        '/mafs_fusion',
        '/rgb_camera',
        '/thermal_camera',
        '/viewer',
    }
    for enclave in enclaves:
        for profile in enclave.findall('./profiles/profile'):
            assert set(profile.attrib) == {'ns', 'node'}
            for group in profile:
                allowed, tag = ACCESS[group.tag]
                assert len(group.attrib) == 1
                assert set(group.attrib) <= allowed
                assert set(group.attrib.values()) == {'ALLOW'}
                assert {entry.tag for entry in group} == {tag}
                assert all(entry.text and ' ' not in entry.text for entry in group)


def test_node_may_publish_all_outputs_and_nothing_else(policy: ET.Element) -> None:
    outputs = {
        *topics.IMAGE_TOPICS.values(),
        *topics.COMPRESSED_TOPICS.values(),
        topics.CAMERA_INFO_TOPIC,
        topics.STATUS_TOPIC,
        topics.OBJECTS_TOPIC,
        topics.DETECTIONS_TOPIC,
        topics.POINTS_TOPIC,
        topics.CLASSES_TOPIC,
        topics.LABEL_INFO_TOPIC,
        topics.DIAGNOSTICS_TOPIC,
    }
    assert names(policy, topics.NODE_NAME, 'publish') - BY_ROS == outputs


def test_node_may_answer_all_its_services(policy: ET.Element) -> None:
    services = {name for key, name in vars(topics).items() if key.endswith('_SERVICE')}
    assert services
    assert services <= names(policy, topics.NODE_NAME, 'reply')


def test_inputs_come_from_the_cameras_alone(policy: ET.Element) -> None:
    inputs = {
        name + suffix for name in topics.INPUT_TOPICS.values() for suffix in ('', '/compressed')
    } | {topics.CAMERA_INFO_INPUT, topics.DEPTH_INPUT}
    read_along = {  # by snapshots and recordings
        *topics.IMAGE_TOPICS.values(),
        topics.CAMERA_INFO_TOPIC,
        topics.STATUS_TOPIC,
        topics.CLASSES_TOPIC,
    }
    assert names(policy, topics.NODE_NAME, 'subscribe') - BY_ROS == inputs | read_along
    cameras = [names(policy, f'{c}_camera', 'publish') - BY_ROS for c in ('rgb', 'thermal')]
    assert cameras[0] | cameras[1] == inputs
    assert not cameras[0] & cameras[1]
    assert names(policy, 'viewer', 'publish') <= BY_ROS


def test_viewer_reads_what_there_is(policy: ET.Element) -> None:
    outputs = names(policy, topics.NODE_NAME, 'publish') - BY_ROS
    assert names(policy, 'viewer', 'subscribe') - BY_ROS == {
        topics.absolute(name) for name in outputs
    }
