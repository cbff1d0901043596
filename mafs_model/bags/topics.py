"""Which topics of a bag are the two cameras, where the user does not say."""

from __future__ import annotations

from mafs_model.bags.reader import BagReader, COMPRESSED_TYPE, IMAGE_TYPE
from mafs_model.bags.summary import BagSummary
from mafs_model.errors import BagError
from mafs_model.topics import NODE_NAME

_HINTS = {
    'thermal': ('thermal', 'infrared', 'lwir', 'flir', 'boson', 'lepton', '/ir', 'ir/'),
    'visible': ('rgb', 'color', 'colour', 'visible', '/vi'),
}
# outputs of the node and of depth cameras
_OTHERS = (NODE_NAME, 'depth')


def choose_topics(
    bag: BagReader | BagSummary,
    visible: str | None = None,
    thermal: str | None = None,
    *,
    options: tuple[str, str] = ('--rgb-topic', '--thermal-topic'),
) -> dict[str, str]:
    """
    Return the topics of both streams, those not named guessed where only one fits.

    What the node or a depth camera publishes is no candidate, nor is the compressed form of
    another one.

    Args:
        bag: open bag, or the summary of one.
        visible: topic of the visible images, None to guess.
        thermal: topic of the thermal images, None to guess.
        options: how the user names the visible and the thermal topic, for the message.

    Raises:
        BagError: a stream cannot be told, or both are the same topic; the image topics are
            listed.

    """
    images = [n for n, topic in bag.topics.items() if topic.type in (IMAGE_TYPE, COMPRESSED_TYPE)]
    free = [name for name in images if not any(word in name.lower() for word in _OTHERS)]
    free = [name for name in free if name.removesuffix('/compressed') not in set(free) - {name}]
    chosen = {
        stream: topic
        for stream, topic in (('visible', visible), ('thermal', thermal))
        if topic is not None
    }
    for stream, option in (('thermal', options[1]), ('visible', options[0])):
        if stream in chosen:
            continue
        left = [name for name in free if name not in chosen.values()]
        found = [name for name in left if any(hint in name.lower() for hint in _HINTS[stream])]
        if not found and len(left) == 1:
            found = left
        if len(found) != 1:
            raise BagError(
                f'cannot tell the {stream} topic of bag {bag.path}, name it by {option}; '
                + _listed(bag, images)
            )
        chosen[stream] = found[0]
    if chosen['visible'] == chosen['thermal']:
        raise BagError(f'{options[0]} and {options[1]} are both {chosen["visible"]}')
    return chosen


def _listed(bag: BagReader | BagSummary, images: list[str]) -> str:
    """List the image topics, or what else is there."""
    if images:
        return f'image topics there: {", ".join(sorted(images))}'
    others = (f'{name} ({topic.type})' for name, topic in sorted(bag.topics.items()))
    return f'no image topic there, only: {", ".join(others) or "none"}'
