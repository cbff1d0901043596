"""
Measure the time offset from content: clips of M3SVD, one stream delayed, 9 Hz, frames dropped.

Each clip alone, and all of them one after another (with a second between them, so that the cuts
tell nothing). The offset of the undelayed clip at full rate is what its recorder left: it is
listed, and not taken out of the errors; the last row is of the clips whose recorder left less than
10 ms. The constants of the estimate were chosen with the seed 77.

    python -m benchmarks.time_calibration --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import time
from typing import Any

import cv2
from mafs_model.calibration.content_offset import estimate_offset
from mafs_model.calibration.image_motion import MIN_LAG_S, MotionSamples, MotionTrack, SIZE
from mafs_model.images.preprocessing import luminance
from mafs_model.sources.sequences import as_thermal, Film
from mafs_model.types import UInt8Image
import numpy as np

SLOW_HZ = 9.0
SOUND_MS = 10.0
DROPPED = {'visible': 0.05, 'thermal': 0.08}
Stream = list[tuple[float, UInt8Image]]


def read(folder: Path) -> tuple[Stream, Stream]:
    """Return both streams, small, with their moments."""
    streams: list[Stream] = []
    for camera, name in (('visible', 'vi'), ('thermal', 'ir')):
        stream: Stream = []
        for frame in Film(folder / f'{name}.mp4', camera).frames():  # type: ignore[arg-type]
            grey = luminance(frame.image) if camera == 'visible' else as_thermal(frame.image)
            small = cv2.resize(grey, SIZE[::-1], interpolation=cv2.INTER_AREA)
            stream.append((float(frame.time_s or 0.0), np.asarray(small, np.uint8)))
        streams.append(stream)
    return streams[0], streams[1]


def motion(stream: Stream, lag_s: float, delay_s: float = 0.0) -> MotionSamples:
    """Return the motion of a stream whose stamps are late by `delay_s`."""
    track = MotionTrack(lag_s)
    for moment, image in stream:
        track.add_image(moment + delay_s, image)
    return track.samples()


def slow(stream: Stream, rng: np.random.Generator) -> Stream:
    """Return what a camera of 9 Hz with a phase of its own gives, some frames lost."""
    start = rng.uniform(0, 1 / SLOW_HZ)
    moments = np.array([moment for moment, _ in stream])
    wanted = np.arange(start, moments[-1], 1 / SLOW_HZ)
    nearest = np.unique(np.abs(moments[:, None] - wanted[None]).argmin(axis=0))
    near = [i for i in nearest if np.abs(wanted - moments[i]).min() < 0.03]
    return [stream[i] for i in near if rng.random() >= DROPPED['thermal']]


def join(clips: list[tuple[Stream, Stream]]) -> tuple[Stream, Stream]:
    """Return clips one after another, a second apart."""
    joined: tuple[Stream, Stream] = ([], [])
    start = 0.0
    for streams in clips:
        for target, stream in zip(joined, streams, strict=True):
            target += [(moment + start, image) for moment, image in stream]
        start = joined[0][-1][0] + 1.0
    return joined


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--repeats', type=int, default=6)
    parser.add_argument('--seed', type=int, default=12)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    clips = {p.name: read(p) for p in sorted((options.data / 'm3svd').glob('*/clips/*'))}
    names = list(clips)
    sound: list[str] = []
    for name in [*names, 'all', 'sound']:
        if name in ('all', 'sound'):
            clips[name] = join([clips[part] for part in (names if name == 'all' else sound)])
        visible, thermal = clips[name]
        rng = np.random.default_rng(options.seed)
        plain = estimate_offset(motion(visible, MIN_LAG_S), motion(thermal, MIN_LAG_S))
        if name in names and plain is not None and abs(1e3 * plain.offset_s) <= SOUND_MS:
            sound.append(name)
        errors: list[float] = []
        row: dict[str, Any] = {'clip': name, 'seconds': round(visible[-1][0], 1)}
        inside = sure = 0
        begin = time.process_time()
        frames = 0
        for _ in range(options.repeats):
            delay = float(rng.uniform(-1, 1))
            seen = [frame for frame in visible if rng.random() >= DROPPED['visible']]
            late = slow(thermal, rng)
            frames += len(seen) + len(late)
            found = estimate_offset(motion(seen, 1 / SLOW_HZ), motion(late, 1 / SLOW_HZ, delay))
            if found is None:
                continue
            sure += found.doubt is None
            errors.append(1e3 * (found.offset_s + delay))
            inside += abs(found.offset_s + delay) <= found.interval_s
        row['cpu_ms_per_frame'] = round(1e3 * (time.process_time() - begin) / frames, 2)
        row['undelayed_ms'] = None if plain is None else round(1e3 * plain.offset_s, 1)
        row['errors_ms'] = [round(error, 1) for error in errors]
        row['sure'], row['inside_interval'], row['of'] = sure, inside, options.repeats
        print(json.dumps(row), flush=True)


if __name__ == '__main__':
    main()
