"""What is in a bag, without opening its storage where its metadata tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_model.bags.reader import BagReader, BagTopic
from mafs_model.errors import BagError
import yaml

# A recording of hundreds of topics has a few 100 kB; more is no metadata.
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class BagSummary:
    """
    The topics of a bag.

    Attributes:
        path: folder or file of the bag.
        topics: type and number of messages by topic.

    """

    path: Path
    topics: dict[str, BagTopic]


def summarise(path: Path) -> BagSummary:
    """
    Return the topics of a bag: from `metadata.yaml`, without it from the storage itself.

    Raises:
        BagError: there is no such bag, or it cannot be read.

    """
    if not path.exists():
        raise BagError(f'bag {path} does not exist')
    metadata = path / 'metadata.yaml'
    if metadata.is_file():
        return BagSummary(path, _topics(metadata))
    with BagReader(path) as bag:
        return BagSummary(path, dict(bag.topics))


def _topics(metadata: Path) -> dict[str, BagTopic]:
    """Return what rosbag2 wrote about the topics."""
    try:
        if metadata.stat().st_size > _MAX_BYTES:
            raise BagError(f'{metadata} is larger than {_MAX_BYTES} bytes')
        content: Any = yaml.safe_load(metadata.read_text(encoding='utf-8'))
        listed = content['rosbag2_bagfile_information']['topics_with_message_count']
        return {
            str(entry['topic_metadata']['name']): BagTopic(
                str(entry['topic_metadata']['type']), int(entry['message_count'])
            )
            for entry in listed
        }
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise BagError(f'{metadata} is not the metadata of a rosbag2 bag: {reason}') from None
