"""Clips of silence, cut from recordings of background noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_audio.data.audio import duration_seconds
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Clip
from tune_audio.errors import UserError

SILENCE = "silence"
SAMPLE_RATE = 16_000  # of Speech Commands, on whose samples clips start
STRETCHES = 10
SHORTEST_NOISE_SECONDS = 2.0 * STRETCHES  # room for clips that differ
GOLDEN_FRACTION = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Stretch:
    """A tenth of a noise recording; `seconds` is its length."""

    path: Path
    index: int
    seconds: float

    @property
    def split(self) -> str:
        return {STRETCHES - 1: "test", STRETCHES - 2: "validation"}.get(self.index, "train")


def stretches(noise: Sequence[Path], where: str) -> list[Stretch]:
    """Ten disjoint stretches of each recording that is long enough: the last is for test, the one
    before for validation.

    Raises UserError, beginning with `where`, when there is no such recording.
    """
    found = []
    for path in noise:
        try:
            seconds = duration_seconds(path)
        except BadAudio:
            continue  # Decoding meets it again as noise and lists it with its reason.
        if seconds >= SHORTEST_NOISE_SECONDS:
            found += [Stretch(path, index, seconds / STRETCHES) for index in range(STRETCHES)]
    if not found:
        raise UserError(
            f"{where} has no readable recording of {SHORTEST_NOISE_SECONDS:g} seconds or more to "
            "cut silence from. Add one, or choose a form of the data without silence."
        )
    return found


def cut_silence(places: Sequence[Stretch], count: int) -> list[Clip]:
    """`count` one-second clips, spread evenly over the stretches, which become their groups.

    So no clip tested on overlaps one that was trained on, and more clips include the fewer.
    """
    clips = []
    for number in range(count):
        turn, place = divmod(number, len(places))
        stretch = places[place]
        # Multiples of the golden fraction fill a stretch evenly, however many there will be.
        within = (turn * GOLDEN_FRACTION % 1.0) * (stretch.seconds - 1.0)
        start = math.ceil((stretch.index * stretch.seconds + within) * SAMPLE_RATE) / SAMPLE_RATE
        group = f"{stretch.path.stem}/{stretch.index}"
        clips.append(
            Clip(
                stretch.path,
                (SILENCE,),
                split=stretch.split,
                group=group,
                start_seconds=start,
                seconds=1.0,
            )
        )
    return clips
