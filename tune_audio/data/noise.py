"""The background noise that training may mix into its clips."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tune_audio.data.audio import duration_seconds
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Clip

SHORTEST_SECONDS = 1.0


def training_noise(noise: Sequence[Path], held_out: Iterable[Clip]) -> tuple[Clip, ...]:
    """The recordings of noise without what the validation and test clips are cut from.

    Silence is cut from these recordings: mixed into training clips, the very samples that a model
    is selected or tested by would be learned. Scraps under a second are left out.
    """
    taken = defaultdict(list)
    for clip in held_out:
        taken[clip.path].append(clip)
    return tuple(piece for path in noise for piece in _without(path, taken[path]))


def _without(path: Path, taken: Sequence[Clip]) -> list[Clip]:
    if not taken:
        return [Clip(path, ())]
    try:
        end = duration_seconds(path)
    except BadAudio:
        return [Clip(path, ())]  # decoding lists it with its reason
    pieces, position = [], 0.0
    for start, stop in [*sorted(_range(clip, end) for clip in taken), (end, end)]:
        if start - position >= SHORTEST_SECONDS:
            pieces.append(Clip(path, (), start_seconds=position, seconds=start - position))
        position = max(position, stop)
    return pieces


def _range(clip: Clip, end: float) -> tuple[float, float]:
    return clip.start_seconds, end if clip.seconds is None else clip.start_seconds + clip.seconds
