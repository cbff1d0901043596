"""The results of a run: film, bag and contact sheet, each made in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mafs_demo.replay.session import Recording
from mafs_demo.replay.store import FrameStore
from mafs_demo.workers import worker_pool
from mafs_model.classes import ClassTable


@dataclass(frozen=True)
class ReportJob:
    """
    What a report is made of; travels to worker processes.

    Args:
        work: folder in which the results are made.
        recording: what the run left behind.
        store: folder of the frames that were played.
        table: the classes, as `ClassTable.to_dict` gives them.
        summary: the figures.
        raw: whether the bag keeps images uncompressed.

    """

    work: Path
    recording: Recording
    store: Path
    table: dict[str, Any]
    summary: dict[str, Any]
    raw: bool


def _write_movie(job: ReportJob) -> str:
    from mafs_demo.pictures import movie
    from mafs_demo.replay.playback import Playback

    playback = Playback(job.recording, FrameStore(job.store))
    movie.write_movie(
        job.work / 'demo.mp4',
        playback,
        ClassTable.from_dict(job.table),
        job.summary['mode'] == 'classical',
        lambda done, total: None,
    )
    return 'demo.mp4'


def _write_bag(job: ReportJob) -> str:
    from mafs_demo.replay import export
    from mafs_demo.replay.playback import Playback

    store = FrameStore(job.store)
    export.write_bag(
        job.work / 'bag',
        job.recording,
        store,
        Playback(job.recording, store),
        job.raw,
        lambda done, total: None,
    )
    return 'bag/'


def _write_sheet(job: ReportJob) -> str:
    from mafs_demo.pictures.contact_sheet import SheetText, write_contact_sheet
    from mafs_demo.replay.playback import Playback

    figures = job.summary
    facts = (
        f'{figures["pairs_fused"]} pairs, {figures["pairs_per_s"]:.1f} per second, latency '
        f'p50 {figures["latency_ms"]["p50"]:.0f} ms on {figures["device"]}'
    )
    classical = figures['mode'] == 'classical'
    if not classical:
        facts += f', {figures["weights"]}'
    text = SheetText(figures['source'], facts, classical)
    write_contact_sheet(
        job.work / 'contact_sheet.png',
        Playback(job.recording, FrameStore(job.store)),
        ClassTable.from_dict(job.table),
        text,
    )
    return 'contact_sheet.png'


def write_report(job: ReportJob, with_movie: bool, progress: Callable[..., None]) -> list[str]:
    """Write pictures and bag, each in a process of its own; return the names of the files."""
    steps = [_write_bag, _write_sheet]
    if with_movie:
        steps.insert(0, _write_movie)
    done: list[str] = []
    with worker_pool(len(steps)) as pool:
        progress('writing', 0, len(steps))
        for name in pool.imap_unordered(_call, [(step, job) for step in steps]):
            done.append(name)
            progress('writing', len(done), len(steps), ', '.join(done))
    return done


def _call(step_and_job: tuple[Callable[[ReportJob], str], ReportJob]) -> str:
    step, job = step_and_job
    return step(job)
