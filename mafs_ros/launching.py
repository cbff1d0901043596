"""What the launch files check, choose and write; knows neither launch nor rclpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
import re
from typing import Any

from mafs_model.bags.reader import COMPRESSED_TYPE, IMAGE_TYPE
from mafs_model.bags.summary import BagSummary, summarise
from mafs_model.bags.topics import choose_topics
from mafs_model.errors import BagError, ConfigError
from mafs_model.topics import INPUT_TOPICS
from mafs_model.topics import NODE_NAME as NODE
from mafs_model.yaml_files import read_yaml

LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
TRANSPORTS = ('raw', 'compressed')
RATES = (0.01, 100.0)
_SUFFIX = '/compressed'
_TOPIC = re.compile(r'(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*')
_NAMESPACE = re.compile(r'/?|/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*')
_CAMERA_INFO_TYPE = 'sensor_msgs/msg/CameraInfo'


# ---- arguments --------------------------------------------------------------------------------


def check_names(given: Iterable[str], declared: Iterable[str]) -> None:
    """
    Refuse arguments that no launch file has: launch itself takes them without a word.

    Raises:
        ConfigError: naming the argument, and the one that was probably meant.

    """
    known = sorted(declared)
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            meant = f" (did you mean '{close[0]}'?)" if close else ''
            raise ConfigError(
                f"argument '{name}' is unknown{meant}, expected one of {', '.join(known)}"
            )


def given_names(words: Iterable[str], file_name: str) -> list[str]:
    """Return the names of `name:=value` on a command line that starts this launch file."""
    words = list(words)
    if not any(Path(word).name == file_name for word in words):
        return []  # included by another launch file, whose arguments these are
    return [word.partition(':=')[0] for word in words if ':=' in word]


def check_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """
    Return the value in lower case.

    Raises:
        ConfigError: it is none of the choices.

    """
    choices = list(choices)
    if value.lower() not in choices:
        raise ConfigError(f"{name}: got '{value}', expected one of {', '.join(choices)}")
    return value.lower()


def check_switch(name: str, value: str) -> bool:
    """Return what `true` or `false` mean; raises ConfigError for anything else."""
    return check_choice(name, value, ('true', 'false')) == 'true'


def check_rate(value: str) -> float:
    """Return the speed of a replay; raises ConfigError for what no replay has."""
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    if not RATES[0] <= rate <= RATES[1]:
        raise ConfigError(f"rate: got '{value}', expected a number {RATES[0]:g} to {RATES[1]:g}")
    return rate


def check_topics(topics: Mapping[str, str], namespace: str) -> None:
    """
    Refuse names that are no topics, and one topic for both cameras.

    Args:
        topics: by the name of their argument.
        namespace: of the node.

    Raises:
        ConfigError: naming the argument.

    """
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(f"namespace: got '{namespace}', expected a name such as '/robot1'")
    for name, topic in topics.items():
        if not _TOPIC.fullmatch(topic):
            raise ConfigError(
                f"{name}: got '{topic}', expected the name of a topic such as '/left/image'"
            )
    if absolute(topics['rgb_topic'], namespace) == absolute(topics['thermal_topic'], namespace):
        raise ConfigError(
            f"rgb_topic and thermal_topic are both '{topics['rgb_topic']}', expected two topics"
        )


def absolute(topic: str, namespace: str) -> str:
    """Return a topic with the namespace it is seen in."""
    space = '/' + namespace.strip('/') if namespace.strip('/') else ''
    if topic.startswith('~/'):
        return f'{space}/{NODE}/{topic[2:]}'
    return topic if topic.startswith('/') else f'{space}/{topic}'


def check_parameters(path: Path, namespace: str) -> None:
    """
    Refuse a parameter file that ROS would refuse with a traceback, or ignore without a word.

    Args:
        path: the file.
        namespace: of the node.

    Raises:
        ConfigError: it cannot be read, is no parameter file, or is for other nodes.

    """
    content = read_yaml(path, 'params_file:')
    nodes = list(_nodes(content, ''))
    if not nodes:
        raise ConfigError(
            f"params_file: '{path}' has no parameters, expected NODE: ros__parameters: NAME: VALUE"
        )
    name = absolute(NODE, namespace)
    if not any(_matches(pattern, name) for pattern in nodes):
        raise ConfigError(
            f"params_file: '{path}' has parameters for {', '.join(nodes)} and none for {name} "
            "('/**' is any node)"
        )


def _nodes(content: Any, prefix: str) -> Iterable[str]:
    """Yield the names of nodes that a parameter file has parameters for."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key == 'ros__parameters':
            if isinstance(value, dict) or value is None:
                yield prefix or '/'
        else:
            yield from _nodes(value, f'{prefix}/{str(key).strip("/")}')


def _matches(pattern: str, name: str) -> bool:
    """Return whether a name is one of those a pattern with * and ** means."""
    expression = re.escape(pattern).replace(r'/\*\*', r'(/\w+)*').replace(r'\*', r'\w+')
    return re.fullmatch(expression, name) is not None


# ---- bags -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """
    What of a bag is played, and how the node gets it.

    Attributes:
        rgb_topic: visible images, without the suffix of the transport.
        thermal_topic: thermal images, likewise.
        rgb_info_topic: calibration of the visible camera, whether or not it is in the bag.
        rgb_transport: `raw` or `compressed`.
        thermal_transport: likewise.
        topics: what is to be played; outputs that were recorded are not.

    """

    rgb_topic: str
    thermal_topic: str
    rgb_info_topic: str
    rgb_transport: str
    thermal_transport: str
    topics: tuple[str, ...]


def plan_replay(
    path: Path, rgb_topic: str = '', thermal_topic: str = '', rgb_info_topic: str = ''
) -> Replay:
    """
    Look into a bag and say what to play.

    Args:
        path: the bag.
        rgb_topic: visible images, '' to tell by their name; with or without `/compressed`.
        thermal_topic: thermal images, likewise.
        rgb_info_topic: calibration, '' for the one beside the visible images.

    Raises:
        BagError: it cannot be read, or a topic cannot be told or is not in it.

    """
    bag = summarise(path)
    named = [_stored(bag, topic) for topic in (rgb_topic, thermal_topic)]
    chosen = choose_topics(bag, *named, options=('rgb_topic', 'thermal_topic'))
    bases, transports = {}, {}
    for stream, topic in chosen.items():
        compressed = bag.topics[topic].type == COMPRESSED_TYPE
        if compressed and not topic.endswith(_SUFFIX):
            raise BagError(
                f"bag {path}: '{topic}' is compressed, expected a name that ends in {_SUFFIX}"
            )
        transports[stream] = TRANSPORTS[compressed]
        bases[stream] = topic.removesuffix(_SUFFIX) if compressed else topic
    info = rgb_info_topic or bases['visible'].rpartition('/')[0] + '/camera_info'
    has_info = info in bag.topics and bag.topics[info].type == _CAMERA_INFO_TYPE
    return Replay(
        bases['visible'],
        bases['thermal'],
        info,
        transports['visible'],
        transports['thermal'],
        (*sorted(chosen.values()), *((info,) if has_info else ())),
    )


def demo_bag(folders: Iterable[str | Path]) -> Path:
    """
    Return the bag that `make demo` has made.

    Args:
        folders: where it may have been called; empty names are passed over.

    Raises:
        BagError: it is in none of them.

    """
    places = [Path(folder, 'out', 'demo', 'bag') for folder in folders if str(folder)]
    for place in places:
        if place.is_dir():
            return place
    raise BagError(
        f"bag: none at {' or '.join(map(str, places))}: run 'make demo' in the folder of "
        'mafs_ros, or name one with bag:='
    )


def _stored(bag: BagSummary, topic: str) -> str | None:
    """Return the topic of a bag that holds the images of a name, raw before compressed."""
    if not topic:
        return None
    absolute_name = absolute(topic, '')
    for name in (absolute_name, absolute_name + _SUFFIX):
        if name in bag.topics and bag.topics[name].type in (IMAGE_TYPE, COMPRESSED_TYPE):
            return name
    images = [n for n, t in bag.topics.items() if t.type in (IMAGE_TYPE, COMPRESSED_TYPE)]
    raise BagError(
        f"bag {bag.path} has no images on '{absolute_name}', "
        f'image topics there: {", ".join(sorted(images)) or "none"}'
    )


# ---- layouts ----------------------------------------------------------------------------------


def relocate_layout(
    text: str, namespace: str, inputs: Mapping[str, str], transports: Mapping[str, str]
) -> str:
    """
    Return a layout of RViz or Foxglove for other names than the defaults it is written for.

    Args:
        text: content of `config/mafs.rviz` or `config/foxglove_layout.json`.
        namespace: of the node.
        inputs: topics of the images, by 'rgb' and 'thermal'.
        transports: `raw` or `compressed`, likewise.

    """

    def renamed(match: re.Match[str]) -> str:
        if match[1] is None:
            return absolute(NODE, namespace) + '/'
        stream = match[1].partition('/')[0]
        topic = absolute(inputs[stream], namespace)
        suffix = _SUFFIX if transports[stream] == 'compressed' else ''
        return topic if topic.endswith(suffix) else topic + suffix

    inputs_of_the_text = '|'.join(map(re.escape, INPUT_TOPICS.values()))
    return re.sub(rf'(?<=[\s"])/(?:{NODE}/|({inputs_of_the_text})(?=["\s]))', renamed, text)
