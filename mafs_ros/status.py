"""The status message of one pair."""

from __future__ import annotations

from mafs_model.prediction import Prediction
from mafs_ros.alignment import Job
from mafs_ros.msg import FusionStatus
from mafs_ros.statistics import Counters
from std_msgs.msg import Header

MODES = {
    'fusion': FusionStatus.MODE_FUSION,
    'visible_only': FusionStatus.MODE_VISIBLE_ONLY,
    'thermal_only': FusionStatus.MODE_THERMAL_ONLY,
    'classical': FusionStatus.MODE_CLASSICAL,
    'idle': FusionStatus.MODE_IDLE,
}


def make_status(job: Job, header: Header, results: Prediction, counters: Counters) -> FusionStatus:
    """
    Return the status of a pair, without the times that the caller measures.

    Args:
        job: the pair.
        header: header of the published images.
        results: what was computed.
        counters: including this pair.

    """
    reasons = sorted(counters.drops)
    timings_ms = results.timings_ms  # empty for a pair for which nobody listens
    return FusionStatus(
        header=header,
        visible_stamp=job.visible.header.stamp,
        thermal_stamp=job.thermal.header.stamp,
        offset=job.offset_s,
        time_offset=job.time_offset_s,
        time_offset_estimated=job.estimated,
        preprocess_ms=timings_ms.get('preprocess', 0.0),
        inference_ms=timings_ms.get('inference', 0.0),
        postprocess_ms=timings_ms.get('postprocess', 0.0),
        visible_queued=job.queued['visible'],
        thermal_queued=job.queued['thermal'],
        visible_received=counters.received['visible'],
        thermal_received=counters.received['thermal'],
        pairs=counters.pairs,
        processed=counters.processed,
        match_rate=counters.match_rate,
        drop_reasons=reasons,
        drop_counts=[counters.drops[reason] for reason in reasons],
        mode=MODES[results.mode],
    )
