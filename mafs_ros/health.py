"""The state of the node in one word and one sentence that a person understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from mafs_ros.parameters import Settings
from mafs_ros.statistics import Snapshot, StreamState

MIN_RECENT_DROPS = 3  # One bad image in ten seconds is no condition to warn about.
LOSS_WARN = 0.2  # Share of published images that may get lost before it is worth a warning.
LOW_MATCH = 0.5
SEGMENT_BYTES = 500_000  # of Fast DDS without our profile; smaller images fit into it.
CLOCKS_APART_S = 1.0  # No camera is late by more; clocks are.
PICTURE_EVENTS = ('frozen', 'dead_image', 'saturated')
SLOW_PUBLICATION_MS = 20.0  # A 640x480 colour image takes 1 ms.
ARRIVING_S = 0.5  # A camera whose last message is younger has not stopped.
_DEFAULTS = Settings.from_values({})
CAMERA = {'visible': 'visible (rgb)', 'thermal': 'thermal'}
_PARAMETER = {'visible': 'rgb', 'thermal': 'thermal'}

# Reasons of the pairing: an image without partner is normal for cameras of different rates.
PAIRING_REASONS = frozenset(
    {
        'no_partner',
        'no_depth',
        'not_nearest',
        'duplicate',
        'late',
        'overflow',
        'outlier',
        'clock_jump',
        'flushed',
        'overtaken',
        'rate',
        'repeated',
        'deactivated',
    }
)


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Context:
    """
    What the judgement needs beside the statistics.

    Attributes:
        state: label of the lifecycle state.
        last_error: why the last transition failed, '' if it did not.
        fault: why the last inference failed, '' if it did not.
        alone: stream that is worked with while the other one is missing, '' for pairs.
        publishers: number of publishers of each input.
        topics: name of each input.
        beside: topic of the other transport of each input, where somebody publishes it.
        last_texts: newest text by reason of drop.
        settings: what is in force.
        clock_is_zero: whether simulated time is asked for and nobody publishes /clock.
        swapped: whether the thermal image is a photograph, and the visible one looks like thermal.
        registration: how the thermal image lies wrong on the visible one, '' if it does not.
        notices: what the user should know about the set-up (no weights, no GPU).
        unserved: stream -> why the weights cannot compute it alone.

    """

    state: str = 'active'
    last_error: str = ''
    fault: str = ''
    alone: str = ''
    publishers: dict[str, int] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    last_texts: dict[str, str] = field(default_factory=dict)
    settings: Settings = _DEFAULTS
    clock_is_zero: bool = False
    swapped: bool = False
    registration: str = ''
    notices: tuple[str, ...] = ()
    unserved: Mapping[str, str] = field(default_factory=dict)


def assess(snapshot: Snapshot, context: Context) -> tuple[Level, str]:
    """
    Return the state of the node.

    Args:
        snapshot: what happened.
        context: how the node is set up.

    Returns:
        Level and sentence of the most severe condition.

    """
    if context.state != 'active':
        return _not_active(context)
    if context.fault:
        return Level.ERROR, f'The last pair could not be computed: {context.fault}'
    if context.clock_is_zero:
        return Level.STALE, (
            'use_sim_time is set but no time arrives on /clock: play the bag with --clock or '
            'set use_sim_time to false'
        )
    limit_s = context.settings.diagnostics_stale_after
    silent = {name: _silent(name, snapshot, context, limit_s) for name in snapshot.streams}
    found = [text for text in silent.values() if text]
    if context.alone and not silent[context.alone]:
        # Why the other one is refused may be worse than that it is.
        return _swapped(snapshot, context) or (Level.WARN, _alone(snapshot, context))
    if found:
        return Level.STALE, ' '.join([*found, *_why_not_alone(context, silent)])
    conditions = [
        _only_bad_images(snapshot, context),
        _no_pairs(snapshot, context),
        _swapped(snapshot, context),
        _transport_loss(snapshot, context),
        _slow_reader(snapshot),
        _bad_pictures(snapshot, context),
        _misregistered(context),
        _foreign_clock(snapshot),
        _bad_images(snapshot, context),
        _low_match(snapshot),
        _low_rate(snapshot, context),
    ]
    worst = max((c for c in conditions if c), key=lambda c: c[0], default=None)
    if worst:
        return worst
    if context.notices:
        return Level.WARN, f'{_working(snapshot)} Note: {context.notices[0]}'
    return Level.OK, _working(snapshot)


def _why_not_alone(context: Context, silent: Mapping[str, str]) -> list[str]:
    """Return why the camera that delivers does not do alone, where that was asked for."""
    if context.settings.on_missing != 'single':
        return []
    return [
        _sentence(context.unserved[name])
        for name, text in silent.items()
        if not text and name in context.unserved
    ]


def _working(snapshot: Snapshot) -> str:
    """Return the sentence for a node that works."""
    if not snapshot.pairs:
        return 'Waiting for the first pair.'
    text = f'{snapshot.processed_rate_hz:.1f} of {snapshot.pair_rate_hz:.1f} pairs/s processed'
    if snapshot.latency_median_ms is not None:
        text += f', latency {snapshot.latency_median_ms:.0f} ms'
    return text + '.'


def _not_active(context: Context) -> tuple[Level, str]:
    if context.last_error:
        return Level.ERROR, (
            f'Not running: {context.last_error.rstrip(".")}. Correct this, then configure and '
            'activate.'
        )
    if context.state == 'inactive':
        return Level.STALE, 'Inactive: configured, waits to be activated.'
    if context.state == 'unconfigured':
        return Level.STALE, 'Unconfigured: waits to be configured and activated.'
    return Level.STALE, f'Not running: lifecycle state {context.state}.'


def _alone(snapshot: Snapshot, context: Context) -> str:
    """Return the sentence for a node that works with one camera."""
    missing = next(name for name in snapshot.streams if name != context.alone)
    since_last_s = snapshot.streams[missing].since_last_s
    if since_last_s is not None and since_last_s < ARRIVING_S:
        why = f'The {CAMERA[missing]} images are refused{_newest_error(snapshot, context)}'
    else:
        why = _silent(missing, snapshot, context, 0.0)
    return (
        f'The {CAMERA[context.alone]} camera alone: {snapshot.processed_rate_hz:.1f} images/s '
        f'processed. {why}'
    )


def _silent(name: str, snapshot: Snapshot, context: Context, limit_s: float) -> str:
    """Return a sentence if an input has delivered nothing for longer than a limit."""
    stream = snapshot.streams[name]
    silence_s = snapshot.active_s if stream.since_last_s is None else stream.since_last_s
    if silence_s <= limit_s:
        return ''
    camera, topic = CAMERA[name], context.topics.get(name, name)
    count = context.publishers.get(name, 0)
    if not count and name in context.beside:
        other = context.beside[name]
        transport = 'compressed' if other.endswith('/compressed') else 'raw'
        return (
            f'No {camera} image for {silence_s:.0f} s: nobody publishes {topic}, but {other} is '
            f'published. Set {_PARAMETER[name]}.transport to {transport}.'
        )
    if not count:
        return (
            f'No {camera} image for {silence_s:.0f} s: nobody publishes {topic}. Is the '
            'driver running and the topic remapped?'
        )
    if stream.since_last_s is None:
        return (
            f'{topic} has {count} publisher(s) but no {camera} image has arrived for '
            f'{silence_s:.0f} s: is the QoS compatible, the transport (raw, compressed) '
            'right, and are the images smaller than the shared-memory segment of the '
            'publisher (FASTRTPS_DEFAULT_PROFILES_FILE)?'
        )
    return (
        f'No {camera} image for {silence_s:.0f} s although {topic} has {count} '
        'publisher(s): has the camera stopped?'
    )


def _only_bad_images(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    for name, stream in snapshot.streams.items():
        if stream.received >= MIN_RECENT_DROPS and not stream.accepted:
            return Level.ERROR, (
                f'All {stream.received} {CAMERA[name]} images were refused'
                f'{_newest_error(snapshot, context)}'
            )
    return None


def _newest_error(snapshot: Snapshot, context: Context) -> str:
    """Return ': <text>' of the most frequent bad-image reason."""
    bad = _bad_counts(snapshot)
    if not bad:
        return '.'
    reason = max(bad, key=lambda key: bad[key])
    text = context.last_texts.get(reason, '')
    return f', {reason}: {text}' if text else f', {reason}.'


def _bad_counts(snapshot: Snapshot) -> dict[str, int]:
    return {
        reason: count
        for reason, count in snapshot.recent_drops.items()
        if reason not in PAIRING_REASONS
    }


def _no_pairs(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    if all(s.accepted >= 10 for s in snapshot.streams.values()) and not snapshot.pairs:
        slop_ms = 1e3 * context.settings.sync_slop
        return Level.ERROR, (
            f'Both cameras deliver but no two stamps are within sync.slop ({slop_ms:.0f} ms). '
            f'{_what_to_do_about_stamps(snapshot)}'
        )
    if snapshot.pairs and snapshot.pair_rate_hz == 0:
        return Level.WARN, (
            'Both cameras deliver but no pair has formed for 5 s: did a clock jump or drift?'
        )
    return None


def _what_to_do_about_stamps(snapshot: Snapshot) -> str:
    """Return advice that fits how far apart the newest stamps of the two cameras are."""
    visible_s, thermal_s = (snapshot.streams[n].stamp_age_s for n in ('visible', 'thermal'))
    if visible_s is None or thermal_s is None:
        return 'Are the clocks of the cameras synchronised?'
    late_s = thermal_s - visible_s
    side = 'behind' if late_s > 0 else 'ahead of'
    if abs(late_s) < CLOCKS_APART_S:
        return (
            f'The newest thermal stamp is {1e3 * abs(late_s):.0f} ms {side} the visible one: '
            'measure the offset (mafs-calibrate time) and set thermal.time_offset, or raise '
            'sync.slop.'
        )
    return (
        f'The thermal stamps are {_long(abs(late_s))} {side} the visible ones: synchronise the '
        'clocks of the cameras, or take the time of arrival with rgb.stamp_source: receive and '
        'thermal.stamp_source: receive.'
    )


def _swapped(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    visible, thermal = snapshot.streams['visible'], snapshot.streams['thermal']
    if snapshot.recent_drops.get('swapped'):
        return Level.ERROR, (
            'The topics of the two cameras seem to be swapped: the visible input carries a '
            'thermal encoding and the thermal input a colour one.'
        )
    if visible.encoding == 'mono8' and thermal.encoding in ('rgb8', 'bgr8'):
        return Level.WARN, (
            f'The visible input carries mono8 and the thermal input {thermal.encoding}: are '
            'the topics swapped?'
        )
    if context.swapped:
        return Level.WARN, (
            'The thermal input shows colour photographs and the visible one grey pictures or '
            'false colours: are the topics swapped?'
        )
    return None


def _transport_loss(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    def share(item: tuple[str, StreamState]) -> float:
        return item[1].lost_share

    name, stream = max(snapshot.streams.items(), key=share)
    if stream.lost_share < LOSS_WARN or stream.rate_hz == 0:
        return None
    lost = (
        f'{100 * stream.lost_share:.0f} % of the {CAMERA[name]} images published on '
        f'{context.topics.get(name, name)} do not arrive. '
    )
    if 0 < stream.message_bytes < SEGMENT_BYTES:
        return Level.WARN, (
            f'{lost}At {stream.message_bytes / 1e3:.0f} kB each they are small enough for any '
            'transport: this machine or this process was too busy or was stopped, or the network '
            'loses them; a deeper queue (qos_overrides) bridges short stops.'
        )
    return Level.WARN, (
        f'{lost}Most likely they are larger than the shared-memory segment of Fast DDS: start the '
        'PUBLISHER with FASTRTPS_DEFAULT_PROFILES_FILE=config/fastdds_shm.xml '
        '(docs/troubleshooting.md); otherwise the network or this CPU is too slow.'
    )


def _bad_pictures(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    """Say what the pictures of a camera show, or that they show nothing."""
    found = {event: snapshot.recent_events.get(event, 0) for event in PICTURE_EVENTS}
    worst = max(found, key=lambda event: found[event])
    if found[worst] < MIN_RECENT_DROPS:
        return None
    text = context.last_texts.get(worst) or f'an image is wrong ({worst})'
    return Level.WARN, f'{_working(snapshot)} {_sentence(text)}'


def _sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop."""
    return f'{text[:1].upper()}{text[1:]}' + ('' if text.endswith(('.', '?')) else '.')


def _misregistered(context: Context) -> tuple[Level, str] | None:
    if not context.registration:
        return None
    advice = 'Calibrate (mafs-calibrate scene) and set calibration_file.'
    if context.settings.on_misregistration == 'visible_only':
        why = context.unserved.get('visible', '')
        advice += f' {_sentence(why)}' if why else ' Until then the visible image alone is used.'
    return Level.WARN, f'{_sentence(context.registration)} {advice}'


def _foreign_clock(snapshot: Snapshot) -> tuple[Level, str] | None:
    """Say that stamps are of another clock instead of showing a latency of years."""
    differs_s = snapshot.clock_differs_s
    if differs_s is None:
        return None
    side = 'behind' if differs_s > 0 else 'ahead of'
    return Level.WARN, (
        f'{_working(snapshot)} The stamps are {_long(abs(differs_s))} {side} the clock of this '
        'node, so that the latency is not known: is a clock not set, or is this a recording '
        'without --clock and use_sim_time?'
    )


def _long(seconds: float) -> str:
    """Return a long time in the unit in which people think of it."""
    for unit, length in (('years', 31_557_600.0), ('days', 86_400.0), ('hours', 3600.0)):
        if seconds >= 2 * length:
            return f'{seconds / length:.0f} {unit}'
    return f'{seconds:.0f} s'


def _slow_reader(snapshot: Snapshot) -> tuple[Level, str] | None:
    """Name the topic whose publication takes far longer than that of the others."""
    times_ms = snapshot.publish_median_ms
    if not times_ms:
        return None
    slowest = max(times_ms, key=lambda topic: times_ms[topic])
    others = [value for topic, value in times_ms.items() if topic != slowest]
    usual_ms = max(others, default=1.0)
    if times_ms[slowest] < SLOW_PUBLICATION_MS or times_ms[slowest] < 4.0 * usual_ms:
        return None
    return Level.WARN, (
        f'Publishing {slowest} takes {times_ms[slowest]:.0f} ms an image: a subscriber of it '
        'does not keep up (a viewer that is suspended, or behind a slow network). Stop it, or '
        'let it subscribe with best effort.'
    )


def _bad_images(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    count = sum(_bad_counts(snapshot).values())
    if count < MIN_RECENT_DROPS:
        return None
    return Level.WARN, (
        f'{count} images dropped in the last 10 s{_newest_error(snapshot, context)}'
    )


def _low_match(snapshot: Snapshot) -> tuple[Level, str] | None:
    slower = min(s.accepted for s in snapshot.streams.values())
    if slower < 30 or snapshot.match_rate >= LOW_MATCH:
        return None
    return Level.WARN, (
        f'Only {100 * snapshot.match_rate:.0f} % of the images of the slower camera find a '
        'partner: raise sync.slop, or measure thermal.time_offset (mafs-calibrate time).'
    )


def _low_rate(snapshot: Snapshot, context: Context) -> tuple[Level, str] | None:
    limit = context.settings.diagnostics_min_pair_rate
    if not limit or snapshot.active_s < 5.0 or snapshot.pair_rate_hz >= limit:
        return None
    return Level.WARN, (
        f'{snapshot.pair_rate_hz:.1f} pairs/s, expected at least {limit:g} '
        '(diagnostics.min_pair_rate).'
    )
