"""How many copies, hidden in real recordings, are found, and how many of those found are none.

    python benchmarks/planted_leaks.py --data FOLDER

First the recordings are searched as they are: whatever is found besides equal samples is listed, to
be listened to. Then 200 leaks of each of five kinds are planted among them:

- same bytes: the file under another name;
- re-encoded: to ogg (Vorbis) and mp3 in turn, as libsndfile does by default;
- 6 dB softer: multiplied by 0.5012 and rounded to 16 bits again;
- shifted: by up to 0.3 s, half of them to the left; what is missing is silence, or soft noise;
- sliced: one-second slices of recordings that are joined from 20 recordings each, which are not
  among the others. Half of the leaks are a slice of a long recording that is there itself, half are
  two slices that share 0.5 to 0.9 s, without it. (Slices that share nothing cannot be found.)

A leak is found where it is told to belong to what it was made of, directly or through others. A
false alarm is a pair of recordings that were made of nothing in common.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from tune_audio.data.audio import BadAudio, audio_files, read_audio
from tune_audio.data.duplicates.components import Components
from tune_audio.data.duplicates.find import find_pairs
from tune_audio.data.duplicates.pairs import Pair
from tune_audio.data.progress import tracking

RATE = 16_000
KINDS = ("same bytes", "re-encoded", "6 dB softer", "shifted", "sliced")
LONGEST_SHIFT_SECONDS = 0.3
CLIPS_A_RECORDING = 20
SLICES_A_RECORDING = 5
NOISE_FOLDER = "_background_noise_"


@dataclass
class Planted:
    """A folder of leaks: `leaks` are (kind, name, name of what it was made of)."""

    folder: Path
    random: np.random.Generator
    files: dict[str, Path] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    leaks: list[tuple[str, str, str]] = field(default_factory=list)

    def write(self, samples: np.ndarray, origin: str, suffix: str = "wav") -> str:
        """A new file of int16 samples at RATE; its name."""
        name = f"planted-{len(self.files)}.{suffix}"
        self.files[name], self.origin[name] = self.folder / name, origin
        soundfile.write(self.files[name], samples, RATE)
        return name


def plant(place: Planted, real: Sequence[str], count: int) -> set[str]:
    """`count` leaks of each kind; returns the recordings that went into long ones."""
    shuffled = [str(name) for name in place.random.permutation(real)]
    for kind, make in zip(KINDS, (same_bytes, re_encoded, softer, shifted), strict=False):
        for number, name in enumerate(take(shuffled, count)):
            place.leaks.append((kind, make(place, name, number), name))
    return set(sliced(place, shuffled, count))


def take(names: list[str], count: int) -> Iterator[str]:
    if len(names) < count:
        raise SystemExit(f"--data: too few recordings; {count - len(names)} more are needed")
    return (names.pop() for _ in range(count))


def samples_of(place: Planted, name: str) -> np.ndarray:
    return read_audio(place.files[name], sample_rate=RATE)


def same_bytes(place: Planted, name: str, number: int) -> str:
    copied = f"planted-{len(place.files)}{place.files[name].suffix}"
    place.files[copied], place.origin[copied] = place.folder / copied, place.origin[name]
    copyfile(place.files[name], place.files[copied])
    return copied


def re_encoded(place: Planted, name: str, number: int) -> str:
    return place.write(samples_of(place, name), place.origin[name], ("ogg", "mp3")[number % 2])


def softer(place: Planted, name: str, number: int) -> str:
    soft = np.rint(samples_of(place, name) * 10 ** (-6 / 20)).astype(np.int16)
    return place.write(soft, place.origin[name])


def shifted(place: Planted, name: str, number: int) -> str:
    samples = samples_of(place, name)
    by = int(place.random.integers(1, round(LONGEST_SHIFT_SECONDS * RATE) + 1))
    fill = place.random.normal(0, (0, 30)[number // 2 % 2], by).astype(np.int16)
    pieces = [fill, samples[:-by]] if number % 2 else [samples[by:], fill]
    return place.write(np.concatenate(pieces), place.origin[name])


def sliced(place: Planted, names: list[str], count: int) -> list[str]:
    """Slices of long recordings: of the first half that are there, of the second that are not."""
    used = []
    for number in range(0, count, SLICES_A_RECORDING):
        parts = list(take(names, CLIPS_A_RECORDING))
        used += parts
        joined = np.concatenate([samples_of(place, name) for name in parts])
        origin = f"long {number}"
        there = place.write(joined, origin) if number < count / 2 else None
        room = len(joined) // SLICES_A_RECORDING
        for start in range(0, room * SLICES_A_RECORDING, room):
            start += int(place.random.integers(0, room - 2 * RATE))
            slice_name = place.write(joined[start : start + RATE], origin)
            if there:
                place.leaks.append(("sliced", slice_name, there))
                continue
            start += int(place.random.uniform(0.1, 0.5) * RATE)
            other = place.write(joined[start : start + RATE], origin)
            place.leaks.append(("sliced", slice_name, other))
    return used


def search(files: dict[str, Path], console: Console) -> list[Pair]:
    began, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(1) as threads, tracking(True) as track:
        pairs = find_pairs(files, threads, track)
    console.print(
        f"{len(files):,} recordings searched in {time.monotonic() - began:.0f} s, "
        f"{time.process_time() - cpu:.0f} s of one core"
    )
    return pairs


def report(place: Planted, pairs: Sequence[Pair], console: Console) -> None:
    together: Components[str] = Components()
    false: Counter[str] = Counter()
    for pair in pairs:
        together.join(pair.file_a, pair.file_b)
        if place.origin[pair.file_a] != place.origin[pair.file_b]:
            kinds = {name: kind for kind, name, _ in place.leaks}
            false[kinds.get(pair.file_b, kinds.get(pair.file_a, "real"))] += 1
            console.print("false alarm:", pair)
    table = Table(title="Planted leaks")
    for column in ("kind", "planted", "found", "share", "false alarms"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind in KINDS:
        found = [together.same(leak, of) for leaked, leak, of in place.leaks if leaked == kind]
        cells = (len(found), sum(found), f"{np.mean(found):.1%}", false[kind])
        table.add_row(kind, *map(str, cells))
    table.add_row("among real ones", "", "", "", str(false["real"]))
    console.print(table)


def readable(path: Path) -> bool:
    try:
        return len(read_audio(path, sample_rate=RATE)) > LONGEST_SHIFT_SECONDS * RATE
    except BadAudio:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="real recordings, in any folders")
    parser.add_argument("--leaks", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    console = Console()
    root = arguments.data
    files = {
        str(path.relative_to(root)): path
        for path in audio_files(root)
        if NOISE_FOLDER not in path.parts and readable(path)
    }
    pairs = search(files, console)
    console.print(Counter(pair.kind for pair in pairs), "pairs as the recordings are")
    for pair in pairs:
        if pair.kind != "equal":
            console.print(pair)
    together: Components[str] = Components()
    for pair in pairs:
        together.join(pair.file_a, pair.file_b)
    single = sorted({together.least(name) for name in files})
    with TemporaryDirectory() as folder:
        place = Planted(Path(folder), np.random.default_rng(arguments.seed))
        place.files |= {name: files[name] for name in single}
        place.origin |= {name: name for name in single}
        for name in plant(place, single, arguments.leaks):
            del place.files[name]
        report(place, search(place.files, console), console)


if __name__ == "__main__":
    main()
