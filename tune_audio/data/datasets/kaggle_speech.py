"""TensorFlow Speech Recognition Challenge (Kaggle 2017): Speech Commands 0.01, twelve classes.

https://www.kaggle.com/c/tensorflow-speech-recognition-challenge; its archives need an account and
the challenge's rules accepted, so train.7z and test.7z are downloaded by hand. What train.7z holds
is also to be had as Speech Commands 0.01.
"""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from tune_audio.data.clips import Listing
from tune_audio.data.datasets import speech_commands
from tune_audio.data.datasets.commands import COMMANDS
from tune_audio.data.datasets.speech_commands import list_words
from tune_audio.errors import UserError

LAYOUT = "train/audio/WORD/SPEAKER_nohash_N.wav and, to predict, test/audio/clip_*.wav"


def download(folder: Path) -> Path:
    """Speech Commands 0.01 (1.5 GB), unpacked in a folder of `folder`. Raises UserError."""
    return speech_commands.download(folder, version="0.01")


def kaggle_speech(
    root: Path,
    *,
    silence_clips: Annotated[int, Ge(0)] = 2_000,
    unknown_clips: Annotated[int, Ge(0)] | None = 2_000,
) -> Listing:
    """The labelled clips of `root/train`, where the challenge's train.7z was unpacked.

    Or of `root` itself, where that is laid out as Speech Commands is: WORD/SPEAKER_nohash_N.wav.

    Ten commands, `silence_clips` one-second clips of the background noise, and of the other twenty
    words `unknown_clips` (report B's third attempt, about as many as a command has); more than
    there are takes all (its second). None gives every word its own label, which with
    silence_clips 0 is its first. The split is that of validation_list.txt and testing_list.txt in
    train, or in `root`. Raises UserError.
    """
    audio, lists = root / "train" / "audio", root / "train"
    if not audio.is_dir():
        if not any((root / word).is_dir() for word in COMMANDS):
            raise UserError(
                f"data.root: {root} has no folder train/audio; needed is {LAYOUT}, or the folders "
                "of Speech Commands."
            )
        audio = lists = root
    return list_words(
        root, audio, lists=lists, silence_clips=silence_clips, unknown_clips=unknown_clips
    )


def submission_clips(root: Path) -> list[Path]:
    """The challenge's unlabelled clips test/audio/clip_*.wav, sorted. Raises UserError."""
    clips = sorted((root / "test" / "audio").glob("clip_*.wav"))
    if not clips:
        raise UserError(f"{root} has no test/audio/clip_*.wav to predict; needed is {LAYOUT}.")
    return clips
