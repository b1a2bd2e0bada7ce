"""Windows of recordings that are longer than what a model hears at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from tune_audio.data.audio import duration_seconds
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Clip, Listing
from tune_audio.errors import UserError

# A hop of 0.01 s makes 6,000 windows of a minute; a shorter one is a slip that fills the memory.
HopSeconds = Annotated[float, Ge(0.01)]
WindowSeconds = Annotated[float, Ge(0.02), Le(60)]  # half of it may be the hop


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


def check_windows(listing: Listing, clip_seconds: float) -> None:
    """Raises UserError where a window is not as long as the clip that a model hears."""
    lengths = {clip.seconds for clip in listing.clips} if listing.windows else set()
    if lengths - {clip_seconds}:
        window = f"{lengths.pop():g}"
        raise UserError(
            f"data.clip_seconds: got {clip_seconds:g}, but data.window_seconds is {window}: the "
            "ends of a longer window would be lost, and zeros would follow a shorter one. Give "
            f"both the same length, for example --set data.clip_seconds={window}."
        )


def _seconds_or_zero(path: Path) -> float:
    try:
        return duration_seconds(path)
    except BadAudio:
        return 0.0
