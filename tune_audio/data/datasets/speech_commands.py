"""Speech Commands: one-second utterances of single words (Warden 2018, arXiv:1804.03209)."""

from hashlib import sha1
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from tune_audio.data.audio_file import audio_files, is_hidden
from tune_audio.data.clips import Clip, Listing
from tune_audio.data.datasets.commands import commands_and_unknown, present_labels, twelve_classes
from tune_audio.data.datasets.download import fetch_archive
from tune_audio.data.datasets.silence import cut_silence, stretches
from tune_audio.errors import UserError
from tune_audio.escaping import printable

NOISE_FOLDER = "_background_noise_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
VALIDATION_PERCENT, TEST_PERCENT = 10, 10
MAX_CLIPS_PER_WORD = 2**27 - 1  # of the official rule: "~134M"

URL = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v{}.tar.gz"
SHA256 = {
    "0.01": "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    "0.02": "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
}


def download(folder: Path, version: Literal["0.01", "0.02"] = "0.02") -> Path:
    """The official archive (2.4 GB), unpacked in a folder of `folder`. Raises UserError."""
    name = f"speech_commands_v{version}"
    return fetch_archive(URL.format(version), SHA256[version], folder, name)


def speech_commands(
    root: Path,
    *,
    silence_clips: Annotated[int, Ge(0)] = 0,
    unknown_clips: Annotated[int, Ge(0)] | None = None,
) -> Listing:
    """A folder a word with files SPEAKER_nohash_N.wav, as the archives 0.01 and 0.02 are laid out.

    The official split is that of validation_list.txt and testing_list.txt; without them, that of
    the rule that made them. `silence_clips` above 0 adds the label "silence": one-second clips of
    the recordings in _background_noise_. With `unknown_clips` only the ten commands keep their
    label; of all other words at most so many clips are left, labelled "unknown". Raises UserError
    for a folder laid out otherwise.
    """
    return list_words(
        root, root, lists=root, silence_clips=silence_clips, unknown_clips=unknown_clips
    )


def speech_commands12(root: Path) -> Listing:
    """The twelve classes that most publications report: ten commands, "silence" and "unknown".

    In each official split silence and unknown words have a tenth of the commands' clips, as in
    TensorFlow's speech_commands/input_data.py; which ones is decided by a hash. This is not the
    separate archive of 4,890 test clips that some report on. Raises UserError.
    """
    noise = _noise(root)
    places = stretches(noise, f"data.root: {root / NOISE_FOLDER}")
    clips = twelve_classes(_words(root, lists=root), root, places)
    return Listing(tuple(clips), present_labels(clips), noise)


def list_words(
    root: Path,
    folder: Path,
    *,
    lists: Path,
    silence_clips: int,
    unknown_clips: int | None,
) -> Listing:
    """The words of `folder`, split by the lists in `lists`; both lie in the data set's `root`."""
    clips = _words(folder, lists=lists)
    noise = _noise(folder)
    if unknown_clips is not None:
        clips = commands_and_unknown(clips, root, unknown_clips)
    if silence_clips:
        places = stretches(noise, f"data.silence_clips: {folder / NOISE_FOLDER}")
        clips += cut_silence(places, silence_clips)
    labels = tuple(dict.fromkeys(clip.labels[0] for clip in clips))
    return Listing(tuple(clips), labels if unknown_clips is None else present_labels(clips), noise)


def which_set(file_name: str) -> str:
    """ "train", "validation" or "test" by the rule of the archives' README.

    A hash of the speaker decides, so that a speaker never changes sides when clips are added.
    """
    digest = int(sha1(_speaker(file_name).encode("utf-8", "surrogateescape")).hexdigest(), 16)
    percent = digest % (MAX_CLIPS_PER_WORD + 1) * (100.0 / MAX_CLIPS_PER_WORD)
    if percent < VALIDATION_PERCENT:
        return "validation"
    return "test" if percent < VALIDATION_PERCENT + TEST_PERCENT else "train"


def _words(folder: Path, *, lists: Path) -> list[Clip]:
    words = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and entry.name != NOISE_FOLDER and not is_hidden(entry.name)
    )
    listed = _official_lists(lists)
    clips = []
    for word in words:
        for path in audio_files(folder / word):
            split = listed.get(f"{word}/{path.name}", "train") if listed else which_set(path.name)
            clips.append(Clip(path, (printable(word),), split=split, group=_speaker(path.name)))
    if not any("_nohash_" in clip.path.name for clip in clips):
        raise UserError(
            f"data.root: {folder} has no folders of files named like go/0a7c2a8d_nohash_0.wav, as "
            "Speech Commands has. Give the unpacked archive, or use data.name: folder."
        )
    return clips


def _noise(folder: Path) -> tuple[Path, ...]:
    noise = folder / NOISE_FOLDER
    return tuple(audio_files(noise)) if noise.is_dir() else ()


def _speaker(file_name: str) -> str:
    return file_name.partition("_nohash_")[0]


def _official_lists(root: Path) -> dict[str, str] | None:
    """Path "word/file.wav" to split, for what the lists name; None when there are no lists."""
    present = [name for name in LISTS.values() if (root / name).is_file()]
    if not present:
        return None
    remedy = "Restore them from the archive, or remove both to split by the official hash rule."
    if len(present) == 1:
        missing = next(name for name in LISTS.values() if name not in present)
        raise UserError(f"data.root: {root} has {present[0]} but not {missing}. {remedy}")
    listed = {
        line.strip(): split
        for split, name in LISTS.items()
        for line in (root / name).read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    }
    if not listed:
        raise UserError(f"data.root: {' and '.join(present)} of {root} are empty. {remedy}")
    return listed
