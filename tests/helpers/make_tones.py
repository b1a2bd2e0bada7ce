"""A small data set that is easy to tell apart: three pitches in noise."""

from pathlib import Path

import numpy as np
import soundfile
from make_audio import RATE

TONES = {"low": 300.0, "middle": 1000.0, "high": 3000.0}
CLIPS_PER_TONE = 40


def write_tones(folder: Path, clips_per_tone: int = CLIPS_PER_TONE, seconds: float = 0.5) -> Path:
    """A folder a pitch: tones of drawn level and phase in white noise, easy to tell apart."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * RATE)) / RATE
    for name, hertz in TONES.items():
        (folder / name).mkdir(parents=True)
        for i in range(clips_per_tone):
            phase, level = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.5)
            tone = level * np.sin(2 * np.pi * hertz * rng.uniform(0.97, 1.03) * time + phase)
            noise = 0.02 * rng.standard_normal(len(time))
            soundfile.write(folder / name / f"{i:03}.wav", tone + noise, RATE)
    return folder
