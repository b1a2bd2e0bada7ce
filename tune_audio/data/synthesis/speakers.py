"""The speakers of a synthetic data set: who sounds how, and in which split."""

import hashlib
from dataclasses import dataclass

import numpy as np

from tune_audio.data.synthesis import rooms
from tune_audio.data.synthesis.espeak import voice_variants

# fmt: off
ACCENTS = (
    "en-us", "en", "en-gb-x-rp", "en-gb-scotland",
    "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc",
)
# fmt: on
SPLITS = ("training", "validation", "testing")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice with its own pitch, rate, vocal tract length, microphone and room."""

    id: str
    split: str
    voice: str
    pitch: int
    pitch_range: int
    words_per_minute: int
    vocal_tract_warp: float  # above 1: a shorter vocal tract, so higher formants (and pitch)
    surroundings: rooms.Surroundings


class Cast:
    """The speakers of a data set, a pure function of its seed.

    Voices (accent and variant) are dealt out to the splits: a test speaker is nobody's double.
    """

    def __init__(self, seed: int, conditions: rooms.Conditions):
        self.seed = seed
        self.conditions = conditions
        voices = [f"{accent}+{variant}" for accent in ACCENTS for variant in voice_variants()]
        order = np.random.default_rng([seed, 0]).permutation(voices).tolist()
        tenth = len(order) // 10
        self.voices = dict(
            zip(SPLITS, (order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]), strict=True)
        )

    def speaker(self, number: int) -> Speaker:
        rng = np.random.default_rng([self.seed, 1, number])
        identity = hashlib.sha1(f"{self.seed}:{number}".encode()).hexdigest()[:8]
        split = official_split(identity)
        return Speaker(
            id=identity,
            split=split,
            voice=str(rng.choice(self.voices[split])),
            pitch=int(rng.integers(10, 90)),
            pitch_range=int(rng.integers(20, 90)),
            words_per_minute=int(rng.integers(120, 260)),
            vocal_tract_warp=rng.uniform(0.82, 1.2),
            surroundings=rooms.Surroundings.draw(rng, self.conditions),
        )


def official_split(speaker_id: str) -> str:
    """The split of a speaker by Speech Commands' own hash rule (which_set): 80, 10 and 10 %."""
    largest = 2**27 - 1
    digest = int(hashlib.sha1(speaker_id.encode()).hexdigest(), 16)
    percentage = (digest % (largest + 1)) * (100 / largest)
    return "validation" if percentage < 10 else "testing" if percentage < 20 else "training"
