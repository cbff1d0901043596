"""The status message of one pair."""

from __future__ import annotations

from mafs_ros.alignment import Job
from mafs_ros.inference import Results
from mafs_ros.msg import FusionStatus
from mafs_ros.statistics import Counters
from std_msgs.msg import Header

IDLE = 'idle'
MODES = {
    'fusion': FusionStatus.MODE_FUSION,
    'visible_only': FusionStatus.MODE_VISIBLE_ONLY,
    'thermal_only': FusionStatus.MODE_THERMAL_ONLY,
    'classical': FusionStatus.MODE_CLASSICAL,
    IDLE: FusionStatus.MODE_IDLE,
}


def idle_results() -> Results:
    """Return the results of a pair for which nobody listens."""
    return Results(None, None, None, None, IDLE, 0.0, 0.0, 0.0)


def make_status(job: Job, header: Header, results: Results, counters: Counters) -> FusionStatus:
    """
    Return the status of a pair, without the times that the caller measures.

    Args:
        job: the pair.
        header: header of the published images.
        results: what was computed.
        counters: including this pair.

    """
    reasons = sorted(counters.drops)
    return FusionStatus(
        header=header,
        visible_stamp=job.visible.header.stamp,
        thermal_stamp=job.thermal.header.stamp,
        offset=job.offset_s,
        time_offset=job.time_offset_s,
        time_offset_estimated=job.estimated,
        preprocess_ms=results.preprocess_ms,
        inference_ms=results.inference_ms,
        postprocess_ms=results.postprocess_ms,
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
