"""Windows of recordings that are longer than what a model hears at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tune_audio.data.audio import BadAudio, duration_seconds
from tune_audio.data.clips import Clip


def cut_windows(
    clips: Sequence[Clip], window_seconds: float, hop_seconds: float | None = None
) -> list[Clip]:
    """Each clip as windows that start every `hop_seconds` (None: half a window).

    `clips` are whole recordings, whose lengths are read from their headers. One that is no longer
    than a window is a single window, and so is one that cannot be read: decoding lists it.
    """
    hop = window_seconds / 2 if hop_seconds is None else hop_seconds
    with ThreadPoolExecutor() as threads:
        lengths = threads.map(_seconds_or_zero, [clip.path for clip in clips])
        return [
            replace(clip, start_seconds=start, seconds=window_seconds)
            for clip, seconds in zip(clips, lengths, strict=True)
            for start in window_starts(seconds, window_seconds, hop)
        ]


def window_starts(seconds: float, window_seconds: float, hop_seconds: float) -> Iterator[float]:
    """Where the windows of a recording start, in seconds.

    The last one ends with the recording where half a hop or more would be left over; a shorter
    rest is left out, for its window would be nearly the same as the one before.
    """
    last = max(0.0, seconds - window_seconds)
    for number in range(1 + int(last / hop_seconds + 0.5)):
        yield round(min(number * hop_seconds, last), 6)


def _seconds_or_zero(path: Path) -> float:
    try:
        return duration_seconds(path)
    except BadAudio:
        return 0.0
