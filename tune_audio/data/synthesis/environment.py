"""ESC-50 and FSD50K without a download: everyday sounds made by rule, in the official layouts.

Every clip is synthetic (tune_audio/data/sounds.py): these sets show that a search runs and that it
learns, and say nothing about how well it would do on real recordings.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr
from filelock import FileLock
from numpy.random import Generator

from tune_audio.data.datasets.esc50 import CLIP_SECONDS, COLUMNS, FOLDS, META
from tune_audio.data.datasets.fsd50k import TRUTH
from tune_audio.data.synthesis import SAMPLE_RATE, sounds
from tune_audio.data.synthesis.rooms import brown, microphone, pink, unit_power, white
from tune_audio.machine.publish import published_folder

OFFICIAL_RATE = 44_100  # of both sets
Sound = Callable[[Generator, Generator, float], np.ndarray]

# Category, its number in ESC-50, and its labels in FSD50K, ancestors last
SOUNDS: dict[Sound, tuple[str, int, str]] = {
    sounds.dog: ("dog", 0, "Bark,Dog,Domestic_animals_and_pets,Animal"),
    sounds.rooster: (
        "rooster",
        1,
        "Chicken_and_rooster,Fowl,Livestock_and_farm_animals_and_working_animals,Animal",
    ),
    sounds.rain: ("rain", 10, "Raindrop,Rain,Water"),
    sounds.sea_waves: ("sea_waves", 11, "Waves_and_surf,Ocean,Water"),
    sounds.crackling_fire: ("crackling_fire", 12, "Crackle,Fire"),
    sounds.wind: ("wind", 16, "Wind"),
    sounds.crying_baby: ("crying_baby", 20, "Crying_and_sobbing,Human_voice"),
    sounds.sneezing: ("sneezing", 21, "Sneeze,Respiratory_sounds"),
    sounds.clock_tick: ("clock_tick", 38, "Tick-tock,Clock,Mechanisms"),
    sounds.helicopter: ("helicopter", 40, "Aircraft,Vehicle"),
    sounds.chainsaw: ("chainsaw", 41, "Power_tool,Tools"),
    sounds.siren: ("siren", 42, "Siren,Alarm"),
    sounds.engine: ("engine", 44, "Engine"),
    sounds.guitar: ("guitar", -1, "Guitar,Plucked_string_instrument,Musical_instrument,Music"),
}
NOT_IN_ESC50 = {"guitar"}
NOT_IN_ESC10 = {"wind", "siren", "engine"}
BRIEF = {"dog", "rooster", "sneezing"}

FSD50K_SPLITS = ("train", "eval", "val", *["train"] * 4, "eval", *["train"] * 2)


def make_esc50(folder: Path, clips_per_class: int = 40, seed: int = 0) -> Path:
    """Write ESC-10's ten classes and wind, siren and engine of ESC-50; return the folder.

    Equal arguments give equal bytes. A quarter of the sources are heard twice (takes A and B), in
    one fold. A folder that is there is complete and kept as it is.
    """
    with _new_folder(folder) as new:
        if new is not None:
            (new / "audio").mkdir()
            (new / META).parent.mkdir()
            rows = [
                row
                for sound, (category, target, _) in SOUNDS.items()
                if category not in NOT_IN_ESC50
                for row in _write_class(new, sound, category, target, clips_per_class, seed)
            ]
            _write_table(new / META, COLUMNS, sorted(rows))
    return folder


def make_fsd50k(
    folder: Path, clips: int = 280, seed: int = 0, longest_seconds: float = 10.0
) -> Path:
    """Write mixtures of one to three sounds, 0.3 s to `longest_seconds` long; return the folder.

    The labels are FSD50K's own, with their ancestors; 70 % train, 10 % validation, 20 % evaluation.
    The column of AudioSet's ids is filled with names. Equal arguments give equal bytes. A folder
    that is there is complete and kept as it is.
    """
    with _new_folder(folder) as new:
        if new is not None:
            for name in (TRUTH, "FSD50K.dev_audio", "FSD50K.eval_audio"):
                (new / name).mkdir()
            rows = [_write_mixture(new, n, seed, longest_seconds) for n in range(clips)]
            dev = [row for row in rows if row[3] != "eval"]
            test = [row[:3] for row in rows if row[3] == "eval"]
            _write_table(new / TRUTH / "dev.csv", ("fname", "labels", "mids", "split"), dev)
            _write_table(new / TRUTH / "eval.csv", ("fname", "labels", "mids"), test)
            names = sorted({name for *_, labels in SOUNDS.values() for name in labels.split(",")})
            numbered = [(index, name, _ids([name])) for index, name in enumerate(names)]
            _write_table(new / TRUTH / "vocabulary.csv", None, numbered)
    return folder


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path | None]:
    """A folder to fill that becomes `folder`; None when that is there already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if folder.exists():
            yield None
        else:
            with published_folder(folder) as partial:
                yield partial


def _write_class(
    root: Path, sound: Sound, category: str, target: int, count: int, seed: int
) -> Iterator[tuple[str, int, int, str, bool, int, str]]:
    for clip in range(count):
        place, fold = divmod(clip, FOLDS)
        repeated = place % 4 == 1
        source_place, take = (place - 1, "B") if repeated else (place, "A")
        source = 100_000 + 10_000 * target + 1_000 * (fold + 1) + source_place
        identity = np.random.default_rng([seed, 1, source])
        rng = np.random.default_rng([seed, 2, source, ord(take)])
        waveform = sound(identity, rng, CLIP_SECONDS)
        padded = category in BRIEF and rng.random() < 0.5
        name = f"{fold + 1}-{source}-{take}-{target}.wav"
        _write(root / "audio" / name, _record(rng, waveform, padded=padded))
        yield (name, fold + 1, target, category, category not in NOT_IN_ESC10, source, take)


def _write_mixture(
    root: Path, number: int, seed: int, longest_seconds: float
) -> tuple[int, str, str, str]:
    rng = np.random.default_rng([seed, 3, number])
    everything = list(SOUNDS)
    turn, first = divmod(number, len(everything))
    others = [other for other in everything if other is not everything[first]]
    more = rng.choice(len(others), rng.choice(3, p=[0.6, 0.3, 0.1]), replace=False)
    heard = [everything[first], *(others[index] for index in more)]
    seconds = np.exp(rng.uniform(np.log(0.3), np.log(longest_seconds)))
    parts = (unit_power(s(rng, rng, seconds)) * rng.uniform(0.4, 1) for s in heard)
    waveform = sum(parts, start=np.zeros(1))
    # Like FSD50K's labels: what was heard first, then the ancestors
    paths = [SOUNDS[sound][2].split(",") for sound in heard]
    labels = list(dict.fromkeys([path[0] for path in paths] + [a for p in paths for a in p[1:]]))
    split = FSD50K_SPLITS[turn % len(FSD50K_SPLITS)]
    folder = "FSD50K.eval_audio" if split == "eval" else "FSD50K.dev_audio"
    name = 1_000 + number
    _write(root / folder / f"{name}.wav", _record(rng, waveform, padded=False))
    return (name, ",".join(labels), _ids(labels), split)


def _record(rng: Generator, waveform: np.ndarray, *, padded: bool) -> np.ndarray:
    """As a microphone hears it in some background noise; `padded`: silent after the last event."""
    sounding = np.flatnonzero(np.abs(waveform) > 1e-3 * np.abs(waveform).max())
    low_hz, high_hz, tilt = rng.uniform([30, 3000, -0.5], [250, 7800, 0.5])
    heard = unit_power(microphone(unit_power(waveform), low_hz, high_hz, tilt))
    noise = (white, pink, brown)[rng.integers(3)](rng, len(heard))
    heard += noise * 10 ** (-rng.uniform(5, 30) / 20)
    if padded and len(sounding):
        heard[sounding[-1] + SAMPLE_RATE // 10 :] = 0
    return heard * 10 ** (rng.uniform(-26, -1) / 20) / np.abs(heard).max()


def _write(path: Path, waveform: np.ndarray) -> None:
    # Resampling overshoots, and what is clipped would crackle
    recording = np.clip(soxr.resample(waveform, SAMPLE_RATE, OFFICIAL_RATE, "HQ"), -1, 1)
    soundfile.write(path, recording, OFFICIAL_RATE, subtype="PCM_16")


def _ids(labels: Sequence[str]) -> str:
    return ",".join(f"/synthetic/{label.lower()}" for label in labels)


def _write_table(
    path: Path, header: Sequence[str] | None, rows: Sequence[Sequence[object]]
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if header:
            writer.writerow(header)
        writer.writerows(rows)
