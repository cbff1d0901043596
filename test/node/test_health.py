"""The sentences: each condition by itself, and the most severe of several."""

from __future__ import annotations

from dataclasses import replace

from mafs_ros.health import assess, Context, Level
from mafs_ros.parameters import Settings
from mafs_ros.statistics import Snapshot, StreamState
import pytest

TOPICS = {'visible': '/rgb/image_raw', 'thermal': '/thermal/image_raw'}
PUBLISHERS = {'visible': 1, 'thermal': 1}


def healthy() -> Snapshot:
    stream = StreamState(
        received=300,
        accepted=300,
        rate_hz=30.0,
        since_last_s=0.02,
        stamp_age_s=0.005,
        encoding='bgr8',
        size=(480, 640),
    )
    return Snapshot(
        streams={
            'visible': stream,
            'thermal': replace(stream, encoding='mono16', size=(120, 160)),
        },
        pairs=290,
        processed=280,
        pair_rate_hz=29.5,
        processed_rate_hz=28.0,
        match_rate=0.97,
        largest_gap_s=0.07,
        worst_offset_s=0.012,
        inference_median_ms=20.0,
        inference_worst_ms=31.0,
        latency_median_ms=35.0,
        latency_worst_ms=60.0,
        clock_differs_s=None,
        recent_events={},
        publish_median_ms={'~/fused/image': 1.1, '~/semantic/labels': 0.5},
        drops={},
        recent_drops={},
        events={},
        active_s=60.0,
    )


def context(**changes: object) -> Context:
    return replace(Context(publishers=PUBLISHERS, topics=TOPICS), **changes)  # type: ignore[arg-type]


def with_settings(values: dict[str, object]) -> Context:
    return context(settings=Settings.from_values(values))


def with_stream(name: str, **changes: object) -> Snapshot:
    snapshot = healthy()
    snapshot.streams[name] = replace(snapshot.streams[name], **changes)  # type: ignore[arg-type]
    return snapshot


def test_one_camera_alone_is_a_warning_with_its_rate_and_the_cause() -> None:
    snapshot = with_stream('thermal', since_last_s=0.7)
    level, sentence = assess(snapshot, context(alone='visible'))
    assert level is Level.WARN
    assert sentence.startswith('The visible (rgb) camera alone: 28.0 images/s processed. ')
    assert 'No thermal image for 1 s' in sentence
    # Long after the other camera was given up this stays a warning: there are results.
    snapshot = with_stream('thermal', since_last_s=100.0)
    level, sentence = assess(
        snapshot, context(alone='visible', publishers={'visible': 1, 'thermal': 0})
    )
    assert level is Level.WARN
    assert 'nobody publishes /thermal/image_raw' in sentence


def test_one_camera_alone_because_the_other_sends_rubbish_says_so() -> None:
    snapshot = replace(healthy(), recent_drops={'decode': 90})
    _, sentence = assess(
        snapshot, context(alone='visible', last_texts={'decode': 'not a JPEG image'})
    )
    assert 'The thermal images are refused, decode: not a JPEG image' in sentence


def test_topic_whose_subscriber_blocks_is_named() -> None:
    slow = {'~/fused/image': 70.0, '~/semantic/labels': 0.5}
    level, sentence = assess(replace(healthy(), publish_median_ms=slow), context())
    assert level is Level.WARN
    assert sentence.startswith('Publishing ~/fused/image takes 70 ms an image: a subscriber')
    # A busy machine makes all of them slow: no subscriber is to blame.
    busy = {'~/fused/image': 70.0, '~/semantic/labels': 40.0}
    assert assess(replace(healthy(), publish_median_ms=busy), context())[0] is Level.OK


@pytest.mark.parametrize('event', ['frozen', 'dead_image', 'saturated'])
def test_pictures_that_show_nothing_are_said(event: str) -> None:
    snapshot = replace(healthy(), recent_events={event: 90, 'thermal_resolution': 200})
    level, sentence = assess(snapshot, context(last_texts={event: 'thermal image is constant'}))
    assert level is Level.WARN
    assert 'Thermal image is constant.' in sentence
    snapshot = replace(healthy(), recent_events={event: 1})
    assert assess(snapshot, context())[0] is Level.OK, 'one picture is no condition'


def test_cameras_that_are_swapped_by_what_they_show_are_said() -> None:
    level, sentence = assess(healthy(), context(swapped=True))
    assert level is Level.WARN
    assert 'are the topics swapped?' in sentence


def test_thermal_image_that_lies_wrong_is_said_with_a_way_out() -> None:
    wrong = 'the thermal image is shifted by about 12 px to the right'
    level, sentence = assess(healthy(), context(registration=wrong))
    assert level is Level.WARN
    assert sentence.startswith('The thermal image is shifted by about 12 px to the right. ')
    assert 'mafs-calibrate scene' in sentence
    alone = Settings.from_values({'on_misregistration': 'visible_only'})
    _, sentence = assess(healthy(), context(registration=wrong, settings=alone))
    assert 'the visible image alone is used' in sentence
    unserved = {'visible': 'w cannot be computed for the visible camera alone: no graph'}
    _, sentence = assess(healthy(), context(registration=wrong, settings=alone, unserved=unserved))
    assert sentence.endswith('W cannot be computed for the visible camera alone: no graph.')


def test_camera_that_does_not_do_alone_is_said_where_the_other_one_is_silent() -> None:
    unserved = {'visible': 'w cannot be computed for the visible camera alone: no graph'}
    snapshot = with_stream('thermal', since_last_s=100.0)
    level, sentence = assess(snapshot, context(unserved=unserved))
    assert level is Level.STALE
    assert sentence.startswith('No thermal image for 100 s')
    assert sentence.endswith('W cannot be computed for the visible camera alone: no graph.')
    for changes in (
        {'settings': Settings.from_values({'on_missing': 'wait'})},
        {'unserved': {'thermal': unserved['visible']}},
    ):
        _, sentence = assess(snapshot, context(**{'unserved': unserved, **changes}))
        assert 'cannot be computed' not in sentence, 'not asked for, or not what is missing'


@pytest.mark.parametrize(
    ('differs_s', 'words'),
    [(220752000.0, '7 years behind'), (-7300.0, '2 hours ahead of'), (90.0, '90 s behind')],
)
def test_stamps_of_another_clock_are_said_instead_of_a_latency(
    differs_s: float, words: str
) -> None:
    snapshot = replace(healthy(), clock_differs_s=differs_s, latency_median_ms=None)
    level, sentence = assess(snapshot, context())
    assert level is Level.WARN
    assert words in sentence
    assert 'latency is not known' in sentence


@pytest.mark.parametrize(
    ('thermal_age_s', 'words', 'absent'),
    [
        (9.0, 'thermal.stamp_source: receive', 'time_offset'),
        (-9.0, '9 s ahead of the visible ones', 'time_offset'),
        (0.12, 'mafs-calibrate time', 'stamp_source'),
        (None, 'synchronised?', 'auto'),
    ],
)
def test_advice_about_stamps_can_work(
    thermal_age_s: float | None, words: str, absent: str
) -> None:
    snapshot = replace(
        with_stream('thermal', stamp_age_s=thermal_age_s), pairs=0, pair_rate_hz=0.0
    )
    level, sentence = assess(snapshot, context())
    assert level is Level.ERROR
    assert words in sentence
    assert absent not in sentence


def test_small_images_are_not_lost_for_their_size() -> None:
    snapshot = with_stream('thermal', lost=300, lost_share=0.98, message_bytes=9_000)
    _, sentence = assess(snapshot, context())
    assert '9 kB' in sentence
    assert 'shared-memory' not in sentence
    snapshot = with_stream('visible', lost=300, lost_share=0.98, message_bytes=921_600)
    assert 'config/fastdds_shm.xml' in assess(snapshot, context())[1]


def test_swapped_topics_are_said_although_one_camera_works_alone() -> None:
    snapshot = replace(healthy(), recent_drops={'swapped': 90})
    level, sentence = assess(snapshot, context(alone='thermal'))
    assert level is Level.ERROR
    assert 'seem to be swapped' in sentence


def test_both_cameras_silent_is_stale_again() -> None:
    snapshot = with_stream('thermal', since_last_s=100.0)
    snapshot.streams['visible'] = replace(snapshot.streams['visible'], since_last_s=9.0)
    assert assess(snapshot, context(alone='visible'))[0] is Level.STALE


def test_healthy_node_says_what_it_does() -> None:
    level, sentence = assess(healthy(), context())
    assert level is Level.OK
    assert sentence == '28.0 of 29.5 pairs/s processed, latency 35 ms.'


def test_notice_is_a_warning_that_keeps_the_numbers() -> None:
    level, sentence = assess(healthy(), context(notices=('no network weights',)))
    assert level is Level.WARN
    assert '28.0 of 29.5 pairs/s' in sentence
    assert sentence.endswith('Note: no network weights')


@pytest.mark.parametrize(
    ('state', 'word'),
    [('unconfigured', 'Unconfigured'), ('inactive', 'Inactive'), ('finalized', 'finalized')],
)
def test_states_that_do_not_run(state: str, word: str) -> None:
    level, sentence = assess(healthy(), context(state=state))
    assert level is Level.STALE
    assert word in sentence


def test_failed_configure_is_an_error_with_its_reason() -> None:
    level, sentence = assess(
        healthy(),
        context(state='unconfigured', last_error='configure failed: weights: no such file.'),
    )
    assert level is Level.ERROR
    assert sentence == (
        'Not running: configure failed: weights: no such file. Correct this, '
        'then configure and activate.'
    )


def test_failed_inference_is_an_error() -> None:
    level, sentence = assess(healthy(), context(fault='CUDA error: device lost'))
    assert (level, sentence) == (
        Level.ERROR,
        'The last pair could not be computed: CUDA error: device lost',
    )


def test_simulated_time_without_clock() -> None:
    level, sentence = assess(healthy(), context(clock_is_zero=True))
    assert level is Level.STALE
    assert '/clock' in sentence


@pytest.mark.parametrize(
    ('publishers', 'since', 'words'),
    [
        (0, None, 'nobody publishes /thermal/image_raw'),
        (0, 7.0, 'nobody publishes /thermal/image_raw'),
        (1, None, 'FASTRTPS_DEFAULT_PROFILES_FILE'),
        (2, 7.0, 'has the camera stopped?'),
    ],
)
def test_silent_input(publishers: int, since: float | None, words: str) -> None:
    snapshot = with_stream('thermal', since_last_s=since)
    level, sentence = assess(snapshot, context(publishers={'visible': 1, 'thermal': publishers}))
    assert level is Level.STALE
    assert words in sentence
    assert 'No visible' not in sentence


def test_both_inputs_silent_are_both_named() -> None:
    snapshot = with_stream('thermal', since_last_s=9.0)
    snapshot.streams['visible'] = replace(snapshot.streams['visible'], since_last_s=9.0)
    _, sentence = assess(snapshot, context())
    assert 'visible (rgb)' in sentence
    assert 'thermal' in sentence


def test_start_is_not_called_stale_at_once() -> None:
    snapshot = with_stream('thermal', since_last_s=None, received=0, accepted=0)
    snapshot.active_s = 1.0
    assert assess(snapshot, context())[0] is Level.OK


def test_frames_lost_in_transport_name_the_cause() -> None:
    level, sentence = assess(with_stream('visible', lost=270, lost_share=0.9), context())
    assert level is Level.WARN
    assert sentence.startswith('90 % of the visible (rgb) images published on /rgb/image_raw')
    assert 'shared-memory segment of Fast DDS' in sentence
    assert 'PUBLISHER' in sentence


def test_no_pairs_although_both_deliver() -> None:
    snapshot = replace(healthy(), pairs=0, pair_rate_hz=0.0, match_rate=0.0)
    level, sentence = assess(snapshot, with_settings({'sync.slop': 0.02}))
    assert level is Level.ERROR
    assert 'sync.slop (20 ms)' in sentence
    assert 'thermal.time_offset' in sentence


def test_pairs_that_stopped() -> None:
    assert assess(replace(healthy(), pair_rate_hz=0.0), context())[0] is Level.WARN


def test_all_images_refused_says_why() -> None:
    snapshot = with_stream('visible', received=50, accepted=0)
    snapshot.recent_drops = {'encoding': 50}
    level, sentence = assess(snapshot, context(last_texts={'encoding': "encoding is 'foo'"}))
    assert level is Level.ERROR
    assert sentence == ("All 50 visible (rgb) images were refused, encoding: encoding is 'foo'")


def test_some_bad_images_are_a_warning() -> None:
    snapshot = replace(healthy(), recent_drops={'decode': 5, 'overtaken': 900})
    level, sentence = assess(snapshot, context(last_texts={'decode': 'JPEG is truncated'}))
    assert level is Level.WARN
    assert sentence == '5 images dropped in the last 10 s, decode: JPEG is truncated'


def test_one_bad_image_is_no_condition() -> None:
    assert assess(replace(healthy(), recent_drops={'decode': 1}), context())[0] is Level.OK


def test_overtaken_pairs_are_no_condition() -> None:
    assert assess(replace(healthy(), recent_drops={'overtaken': 900}), context())[0] is Level.OK


@pytest.mark.parametrize(
    'snapshot',
    [
        replace(healthy(), recent_drops={'swapped': 1}),
        with_stream('thermal', encoding='bgr8'),
    ],
)
def test_swapped_topics(snapshot: Snapshot) -> None:
    snapshot.streams['visible'] = replace(snapshot.streams['visible'], encoding='mono8')
    level, sentence = assess(snapshot, context())
    assert level >= Level.WARN
    assert 'swapped' in sentence


def test_low_match_rate() -> None:
    level, sentence = assess(replace(healthy(), match_rate=0.31), context())
    assert level is Level.WARN
    assert sentence.startswith('Only 31 % of the images')


def test_pair_rate_below_the_limit() -> None:
    level, sentence = assess(healthy(), with_settings({'diagnostics.min_pair_rate': 30.0}))
    assert level is Level.WARN
    assert sentence == ('29.5 pairs/s, expected at least 30 (diagnostics.min_pair_rate).')
    assert assess(healthy(), with_settings({'diagnostics.min_pair_rate': 29.0}))[0] is Level.OK


def test_the_most_severe_condition_is_said() -> None:
    snapshot = with_stream('visible', lost=270, lost_share=0.9)
    snapshot.recent_drops = {'swapped': 3}
    assert assess(snapshot, context())[0] is Level.ERROR
