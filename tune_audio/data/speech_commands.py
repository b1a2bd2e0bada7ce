"""Speech Commands: one-second utterances of single words (Warden 2018, arXiv:1804.03209)."""

import math
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from tune_audio.data.audio import BadAudio, audio_files, duration_seconds, is_hidden, printable
from tune_audio.data.clips import SAMPLE_RATE, Clip, Listing
from tune_audio.data.download import fetch_archive
from tune_audio.errors import UserError

NOISE_FOLDER = "_background_noise_"
SILENCE = "silence"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
VALIDATION_PERCENT, TEST_PERCENT = 10, 10
MAX_CLIPS_PER_WORD = 2**27 - 1  # of the official rule: "~134M"

STRETCHES = 10
SHORTEST_NOISE_SECONDS = 2.0 * STRETCHES  # room for clips that differ
GOLDEN_FRACTION = (math.sqrt(5) - 1) / 2

URL = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v{}.tar.gz"
SHA256 = {
    "0.01": "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    "0.02": "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
}


def download(folder: Path, version: Literal["0.01", "0.02"] = "0.02") -> Path:
    """The official archive (2.4 GB), unpacked in a folder of `folder`. Raises UserError."""
    name = f"speech_commands_v{version}"
    return fetch_archive(URL.format(version), SHA256[version], folder, name)


def speech_commands(root: Path, *, silence_clips: Annotated[int, Ge(0)] = 0) -> Listing:
    """A folder a word with files SPEAKER_nohash_N.wav, as the archives 0.01 and 0.02 are laid out.

    The official split is that of validation_list.txt and testing_list.txt; without them, that of
    the rule that made them. `silence_clips` above 0 adds the label "silence": one-second clips of
    the recordings in _background_noise_. Raises UserError for a folder laid out otherwise.
    """
    words = sorted(
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and entry.name != NOISE_FOLDER and not is_hidden(entry.name)
    )
    listed = _official_lists(root)
    clips = []
    for word in words:
        for path in audio_files(root / word):
            speaker = _speaker(path.name)
            split = listed.get(f"{word}/{path.name}", "train") if listed else which_set(path.name)
            clips.append(Clip(path, (printable(word),), split=split, group=speaker))
    if not any("_nohash_" in clip.path.name for clip in clips):
        raise UserError(
            f"data.root: {root} has no folders of files named like go/0a7c2a8d_nohash_0.wav, as "
            "Speech Commands has. Give the unpacked archive, or use data.name: folder."
        )
    labels = list(dict.fromkeys(clip.labels[0] for clip in clips))
    noise = tuple(audio_files(root / NOISE_FOLDER)) if (root / NOISE_FOLDER).is_dir() else ()
    if silence_clips:
        clips += _silence(root, noise, silence_clips)
        labels += [SILENCE] if SILENCE not in labels else []
    return Listing(tuple(clips), tuple(labels), noise)


def which_set(file_name: str) -> str:
    """ "train", "validation" or "test" by the rule of the archives' README.

    A hash of the speaker decides, so that a speaker never changes sides when clips are added.
    """
    digest = int(sha1(_speaker(file_name).encode("utf-8", "surrogateescape")).hexdigest(), 16)
    percent = digest % (MAX_CLIPS_PER_WORD + 1) * (100.0 / MAX_CLIPS_PER_WORD)
    if percent < VALIDATION_PERCENT:
        return "validation"
    return "test" if percent < VALIDATION_PERCENT + TEST_PERCENT else "train"


def _speaker(file_name: str) -> str:
    return file_name.partition("_nohash_")[0]


def _official_lists(root: Path) -> dict[str, str]:
    """Path "word/file.wav" to split, for what the lists name; empty when there are no lists."""
    present = [name for name in LISTS.values() if (root / name).is_file()]
    if len(present) == 1:
        missing = next(name for name in LISTS.values() if name not in present)
        raise UserError(
            f"data.root: {root} has {present[0]} but not {missing}. Restore it from the archive, "
            "or remove both to split by the official hash rule."
        )
    if not present:
        return {}
    return {
        line.strip(): split
        for split, name in LISTS.items()
        for line in (root / name).read_text(encoding="utf-8", errors="replace").splitlines()
    }


def _silence(root: Path, noise: Sequence[Path], count: int) -> list[Clip]:
    """`count` one-second clips, spread evenly over ten stretches of each noise recording.

    Stretches are disjoint and are the clips' groups: the last of each recording is for test, the
    one before for validation, so no clip tested on overlaps one that was trained on.
    """
    stretches = []
    for path in noise:
        try:
            seconds = duration_seconds(path)
        except BadAudio:
            continue  # Decoding meets it again as noise and lists it with its reason.
        if seconds >= SHORTEST_NOISE_SECONDS:
            stretches += [(path, index, seconds / STRETCHES) for index in range(STRETCHES)]
    if not stretches:
        raise UserError(
            f"data.silence_clips: {root / NOISE_FOLDER} has no readable recording of "
            f"{SHORTEST_NOISE_SECONDS:g} seconds or more to cut silence from. "
            "Add one, or give silence_clips: 0."
        )
    clips = []
    for number in range(count):
        turn, place = divmod(number, len(stretches))
        path, index, seconds = stretches[place]
        # Multiples of the golden fraction fill a stretch evenly, however many there will be.
        offset = index * seconds + (turn * GOLDEN_FRACTION % 1.0) * (seconds - 1.0)
        start = math.ceil(offset * SAMPLE_RATE) / SAMPLE_RATE
        split = {STRETCHES - 1: "test", STRETCHES - 2: "validation"}.get(index, "train")
        group = f"{path.stem}/{index}"
        clips.append(Clip(path, (SILENCE,), split, group, start_seconds=start, seconds=1.0))
    return clips
