"""NearestPairer against a brute-force reference and in every case it must survive."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from mafs_model.pairing.nearest import DROP_REASONS, NearestPairer, Pair
import pytest

MS = 1_000_000
PERIOD = 33_333_333


def brute_force(visible: list[int], thermal: list[int], slop: int) -> set[tuple[int, int]]:
    """Return mutually nearest stamps, straight from the definition."""

    def distance(v: int, t: int) -> tuple[int, int]:
        return abs(t - v), 0 if t >= v else 1

    visible, thermal = sorted(set(visible)), sorted(set(thermal))
    pairs = set()
    for v in visible:
        for t in thermal:
            best_for_v = min(thermal, key=lambda other: distance(v, other))
            best_for_t = min(visible, key=lambda other: distance(other, t))
            if best_for_v == t and best_for_t == v and abs(t - v) <= slop:
                pairs.add((v, t))
    return pairs


def feed(pairer: NearestPairer, messages: list[tuple[str, int]]) -> list[Pair]:
    pairs = []
    for stream, stamp in messages:
        pairs += pairer.add_frame(stream, stamp, (stream, stamp))
    return pairs


def stamps(pairs: list[Pair]) -> list[tuple[int, int]]:
    for pair in pairs:
        assert pair.visible.payload == ('visible', pair.visible.stamp_ns)
        assert pair.thermal.payload == ('thermal', pair.thermal.stamp_ns)
        assert pair.offset_ns == pair.thermal.stamp_ns - pair.visible.stamp_ns
    return [(pair.visible.stamp_ns, pair.thermal.stamp_ns) for pair in pairs]


def accounted(pairer: NearestPairer) -> bool:
    """Every received frame is in exactly one pair or one drop counter."""
    statistics = pairer.statistics
    for stream in ('visible', 'thermal'):
        assert set(statistics.dropped[stream]) <= set(DROP_REASONS)
        if statistics.received[stream] != statistics.pairs + statistics.dropped[stream].total():
            return False
    return True


def interleave(
    visible: list[int],
    thermal: list[int],
    rng: random.Random,
) -> list[tuple[str, int]]:
    """Merge two streams at random, each in its own order."""
    queues = [[('visible', v) for v in visible], [('thermal', t) for t in thermal]]
    merged = []
    while any(queues):
        queue = rng.choice([q for q in queues if q])
        merged.append(queue.pop(0))
    return merged


rising = st.lists(st.integers(0, 300), max_size=30).map(sorted)


@given(rising, rising, st.integers(0, 40), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_rising_streams_equal_brute_force(visible, thermal, slop, rng):
    pairer = NearestPairer(slop, 64, min_interval_ns=0, max_wait_ns=10**9, jump_back_ns=10**9)
    pairs = feed(pairer, interleave(visible, thermal, rng)) + pairer.flush()
    got = stamps(pairs)
    assert len(got) == len(set(got))
    assert set(got) == brute_force(visible, thermal, slop)
    assert got == sorted(got)
    assert accounted(pairer)


@given(rising, rising, st.integers(0, 40), st.integers(1, 60), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_disorder_within_reorder_window_equals_brute_force(visible, thermal, slop, window, rng):
    def shuffled(values: list[int]) -> list[int]:
        return sorted(values, key=lambda value: value + rng.uniform(0, window))

    pairer = NearestPairer(
        slop, 64, min_interval_ns=0, reorder_ns=window, max_wait_ns=10**9, jump_back_ns=10**9
    )
    messages = interleave(shuffled(visible), shuffled(thermal), rng)
    got = stamps(feed(pairer, messages) + pairer.flush())
    assert len(got) == len(set(got))
    assert set(got) == brute_force(visible, thermal, slop)
    assert accounted(pairer)


def camera(rng: random.Random, count: int, phase: float, jitter: float, drop: float) -> list[int]:
    return [
        int((index * PERIOD + phase * MS) + rng.uniform(-jitter, jitter) * MS) + 10**18
        for index in range(count)
        if rng.random() >= drop
    ]


@given(st.integers(0, 10**6), st.floats(-16, 16), st.floats(0, 8), st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_learned_interval_keeps_the_optimum_on_cameras(seed, phase, jitter, drop):
    rng = random.Random(seed)
    visible = camera(rng, 80, 0.0, jitter, drop)
    thermal = camera(rng, 80, phase, jitter, drop)
    pairer = NearestPairer(50 * MS)
    arrivals = sorted(
        [(v + rng.uniform(2, 12) * MS, 'visible', v) for v in visible]
        + [(t + rng.uniform(2, 12) * MS, 'thermal', t) for t in thermal]
    )
    got = stamps(feed(pairer, [(s, x) for _, s, x in arrivals]) + pairer.flush())
    by_stream_sorted = all(
        seq == sorted(seq)
        for seq in ([x for _, s, x in arrivals if s == name] for name in ('visible', 'thermal'))
    )
    assert len(got) == len(set(got))
    if by_stream_sorted:
        assert set(got) == brute_force(visible, thermal, 50 * MS)
    assert accounted(pairer)


messages_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(['visible', 'thermal']),
        st.one_of(st.integers(0, 200), st.integers(-(2**62), 2**62)),
    ),
    max_size=120,
)


@given(messages_of_any_kind, st.integers(0, 50), st.integers(2, 6), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_any_input_is_survived_and_accounted(messages, slop, queue_size, reorder):
    pairer = NearestPairer(slop, queue_size, reorder_ns=reorder)
    used = {'visible': 0, 'thermal': 0}
    for stream, stamp in messages:
        for pair in pairer.add_frame(stream, stamp, (stream, stamp)):
            assert abs(pair.offset_ns) <= slop
            used['visible'] += 1
            used['thermal'] += 1
        held = sum(s.track.waiting for s in pairer._streams.values())
        assert held <= 2 * queue_size
        assert all(len(s.track) <= 2 * (4 * queue_size + 16) for s in pairer._streams.values())
    pairer.flush()
    assert accounted(pairer)


def test_in_phase_cameras_pair_without_waiting_for_the_next_frame():
    """2 ms apart at 30 Hz: once the interval is known, the second frame completes the pair."""
    for lead in ('visible', 'thermal'):
        pairer = NearestPairer(20 * MS)
        delays = []
        for index in range(40):
            first, second = index * PERIOD, index * PERIOD + 2 * MS
            other = 'thermal' if lead == 'visible' else 'visible'
            assert pairer.add_frame(lead, first, index) == [] or index < 12
            pairs = pairer.add_frame(other, second, index)
            delays.append(index - pairs[-1].visible.payload if pairs else 1)
        assert delays[12:] == [0] * 28
        assert pairer.statistics.unproven == 0


def test_declared_interval_decides_the_first_pair_at_once():
    pairer = NearestPairer(20 * MS, min_interval_ns=30 * MS)
    assert pairer.add_frame('thermal', 0) == []
    assert len(pairer.add_frame('visible', 2 * MS)) == 1


def test_without_interval_knowledge_the_proof_is_a_later_stamp():
    pairer = NearestPairer(20 * MS, min_interval_ns=0)
    assert pairer.add_frame('thermal', 0) == []
    assert pairer.add_frame('visible', 5 * MS) == []
    assert pairer.add_frame('visible', 30 * MS) == [], 'says nothing about thermal'
    (pair,) = pairer.add_frame('thermal', 10 * MS + 1)
    assert (pair.thermal.stamp_ns, pair.visible.stamp_ns) == (0, 5 * MS)
    assert pairer.statistics.unproven == 0


def test_nearer_partner_that_comes_in_time_wins():
    pairer = NearestPairer(20 * MS, min_interval_ns=0)
    assert feed(pairer, [('thermal', 0), ('visible', 5 * MS)]) == []
    (pair,) = pairer.add_frame('thermal', 6 * MS) + pairer.add_frame('visible', 40 * MS)
    assert (pair.thermal.stamp_ns, pair.visible.stamp_ns) == (6 * MS, 5 * MS)
    assert pairer.statistics.dropped['thermal']['not_nearest'] == 1


def test_equal_distance_pairs_every_frame_in_anti_phase():
    pairer = NearestPairer(20 * MS)
    pairs = feed(
        pairer,
        [
            message
            for index in range(20)
            for message in (('visible', index * 20 * MS), ('thermal', index * 20 * MS + 10 * MS))
        ],
    )
    pairs += pairer.flush()
    assert stamps(pairs) == [(index * 20 * MS, index * 20 * MS + 10 * MS) for index in range(20)]


def test_slop_is_inclusive_and_zero_pairs_equal_stamps():
    for slop, distance, expected in [(5, 5, 1), (5, 6, 0), (0, 0, 1), (0, 1, 0)]:
        pairer = NearestPairer(slop)
        pairs = feed(pairer, [('visible', 100), ('thermal', 100 + distance)]) + pairer.flush()
        assert len(pairs) == expected


def test_duplicates_are_dropped_and_never_paired_twice():
    pairer = NearestPairer(10 * MS)
    messages = []
    for index in range(20):
        messages += [('visible', index * PERIOD)] * 3 + [('thermal', index * PERIOD + MS)] * 2
    pairs = feed(pairer, messages) + pairer.flush()
    assert len(pairs) == len(set(stamps(pairs))) == 20
    assert pairer.statistics.dropped['visible']['duplicate'] == 40
    assert pairer.statistics.dropped['thermal']['duplicate'] == 20
    assert pairer.statistics.match_rate == 1.0


def test_late_frame_that_would_have_been_nearer_is_counted_not_paired():
    pairer = NearestPairer(20 * MS, min_interval_ns=0)
    pairs = feed(
        pairer, [('visible', 0), ('thermal', 9 * MS), ('visible', 33 * MS), ('thermal', 40 * MS)]
    )
    assert stamps(pairs) == [(0, 9 * MS)]
    assert pairer.add_frame('thermal', MS) == []
    assert pairer.statistics.dropped['thermal']['late'] == 1
    assert pairer.statistics.late_better == 1


def test_late_frame_whose_partner_still_waits_is_paired():
    pairer = NearestPairer(10 * MS, min_interval_ns=0)
    assert feed(pairer, [('thermal', 0), ('visible', 40 * MS), ('visible', 33 * MS)]) == []
    assert stamps(feed(pairer, [('thermal', 34 * MS), ('thermal', 80 * MS)])) == [
        (33 * MS, 34 * MS)
    ]


def loop(start: int, count: int, phase: int = 2 * MS) -> list[tuple[str, int]]:
    return [
        message
        for index in range(count)
        for message in (
            ('visible', start + index * PERIOD),
            ('thermal', start + index * PERIOD + phase),
        )
    ]


def test_bag_loop_loses_no_pair():
    """Both streams jump back, one before the other: old leftovers do not disturb the new run."""
    pairer = NearestPairer(20 * MS)
    first, second = loop(100 * 10**9, 90), loop(100 * 10**9, 90)
    # the last two thermal frames of the first run come after the second run has begun
    leftovers = [m for m in first if m[0] == 'thermal'][-2:]
    messages = [m for m in first if m not in leftovers]
    messages += second[:1] + leftovers[:1] + [second[2]] + leftovers[1:] + [second[1]] + second[3:]
    pairs = feed(pairer, messages) + pairer.flush()
    assert stamps(pairs)[89:] == [(v, v + 2 * MS) for s, v in second if s == 'visible']
    assert pairer.statistics.clock_jumps == 1
    assert accounted(pairer)


def test_loop_of_a_bag_shorter_than_the_jump_threshold_goes_on():
    pairer = NearestPairer(20 * MS)
    total = sum(len(feed(pairer, loop(0, 12))) for _ in range(10)) + len(pairer.flush())
    assert pairer.statistics.clock_jumps >= 8
    assert total >= 70
    assert accounted(pairer)


def test_single_outlier_stamps_do_not_disturb():
    clean, dirty = NearestPairer(20 * MS), NearestPairer(20 * MS)
    messages = loop(100 * 10**9, 60)
    with_outliers = list(messages)
    with_outliers.insert(31, ('visible', 4_000_000_000 * 10**9))
    with_outliers.insert(62, ('thermal', 0))
    with_outliers.insert(80, ('visible', 0))
    assert stamps(feed(clean, messages)) == stamps(feed(dirty, with_outliers))
    assert dirty.statistics.dropped_by_reason()['outlier'] == 3
    assert dirty.statistics.clock_jumps == 0


def test_far_future_that_stays_is_followed():
    pairer = NearestPairer(20 * MS)
    pairs = feed(pairer, loop(0, 30) + loop(10**18, 30)) + pairer.flush()
    assert len(pairs) == 60


def test_one_clock_set_back_and_forth_again():
    """Only thermal is set back, for a while: pairs return as soon as the clocks agree."""
    pairer = NearestPairer(20 * MS)
    start = 100 * 10**9
    before = len(feed(pairer, loop(start, 30)))
    apart = loop(start + 30 * PERIOD, 30)
    apart = [(s, x if s == 'visible' else x - 50 * 10**9) for s, x in apart]
    assert len(feed(pairer, apart)) <= 1
    after = feed(pairer, loop(start + 60 * PERIOD, 30)) + pairer.flush()
    assert before >= 28
    assert len(after) >= 28
    assert accounted(pairer)


def test_stalled_stream_bounds_the_wait():
    """A pair that only the next thermal frame could prove leaves after max_wait of stream time."""
    pairer = NearestPairer(20 * MS, max_wait_ns=100 * MS, min_interval_ns=0)
    assert feed(pairer, [('thermal', 0), ('visible', 15 * MS)]) == []
    emitted_at = None
    for index in range(1, 10):
        stamp = 15 * MS + index * PERIOD
        if pairer.add_frame('visible', stamp):
            emitted_at = stamp
            break
    assert emitted_at == 15 * MS + 4 * PERIOD, 'the first that is 100 ms further on'
    assert pairer.statistics.unproven == 1


def test_stream_dead_for_ten_seconds_comes_back():
    pairer = NearestPairer(20 * MS, 10)
    messages = [m for m in loop(0, 400) if m[0] == 'visible' or not 30 <= m[1] // PERIOD < 330]
    pairs = feed(pairer, messages) + pairer.flush()
    assert len(pairs) == 100
    assert pairer.statistics.dropped['visible']['overflow'] >= 280
    assert pairer.statistics.largest_gap_ns == 301 * PERIOD
    assert accounted(pairer)


def test_settle_emits_when_both_streams_are_silent_and_keeps_the_rest():
    pairer = NearestPairer(20 * MS, min_interval_ns=0)
    assert feed(pairer, [('thermal', 0), ('visible', 15 * MS), ('visible', 48 * MS)]) == []
    assert stamps(pairer.settle()) == [(15 * MS, 0)]
    assert stamps(pairer.add_frame('thermal', 49 * MS)) == [(48 * MS, 49 * MS)] or pairer.flush()


def test_latency_skew_is_covered_by_the_queue():
    """Thermal arrives 200 ms after visible: nothing is lost, nothing is unproven."""
    pairer = NearestPairer(20 * MS, 10)
    arrivals = sorted(
        [(i * PERIOD, 'visible', i * PERIOD) for i in range(100)]
        + [(i * PERIOD + 200 * MS, 'thermal', i * PERIOD + 3 * MS) for i in range(100)]
    )
    pairs = feed(pairer, [(s, x) for _, s, x in arrivals])
    assert len(pairs) >= 99
    assert pairer.statistics.unproven == 0
    assert pairer.statistics.dropped_by_reason() == {}


def test_reset_drops_and_forgets():
    pairer = NearestPairer(20 * MS)
    feed(pairer, [('thermal', 10**9), ('visible', 3 * 10**9)])
    pairer.reset()
    assert len(feed(pairer, [('visible', 0), ('thermal', 0)])) == 1
    assert pairer.statistics.dropped_by_reason() == {'flushed': 1, 'no_partner': 1}


class CountedStamp(int):
    """An int that counts its comparisons."""

    comparisons = 0

    def __lt__(self, other: object) -> bool:
        CountedStamp.comparisons += 1
        return int.__lt__(self, other)  # type: ignore[operator]


@pytest.mark.parametrize('queue_size', [16, 256, 4096])
def test_comparisons_per_message_grow_with_the_logarithm(queue_size):
    """A one-sided flood fills queue and history; the cost per message stays logarithmic."""
    pairer = NearestPairer(20 * MS, queue_size)
    for index in range(9 * queue_size):
        pairer.add_frame('visible', CountedStamp(index * PERIOD))
    CountedStamp.comparisons = 0
    count = 200
    for index in range(count):
        stamp = (9 * queue_size + index) * PERIOD
        pairer.add_frame('visible', CountedStamp(stamp))
    assert CountedStamp.comparisons / count <= 8 * (4 * queue_size + 16).bit_length()


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        ({'slop_ns': -1}, 'slop_ns is -1, expected 0 or more'),
        ({'slop_ns': 1, 'queue_size': 1}, 'queue_size is 1, expected at least 2'),
        ({'slop_ns': 1, 'max_wait_ns': -5}, 'max_wait_ns is -5'),
    ],
)
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        NearestPairer(**arguments)


def test_unknown_stream_is_named():
    with pytest.raises(ValueError, match="stream is 'ir', expected 'visible' or 'thermal'"):
        NearestPairer(1).add_frame('ir', 0)
