"""TensorFlow Speech Recognition Challenge (Kaggle 2017): Speech Commands 0.01, twelve classes.

https://www.kaggle.com/c/tensorflow-speech-recognition-challenge; its archives need an account and
the challenge's rules accepted, so they are downloaded by hand: train.7z and test.7z.
"""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from tune_audio.data.clips import Listing
from tune_audio.data.speech_commands import list_words
from tune_audio.errors import UserError

LAYOUT = "train/audio/WORD/SPEAKER_nohash_N.wav and, to predict, test/audio/clip_*.wav"


def kaggle_speech(
    root: Path,
    *,
    silence_clips: Annotated[int, Ge(0)] = 2_000,
    unknown_clips: Annotated[int, Ge(0)] | None = 2_000,
) -> Listing:
    """The labelled clips of `root/train`, where the challenge's train.7z was unpacked.

    Ten commands, `silence_clips` one-second clips of the background noise, and of the other twenty
    words `unknown_clips` (report B's third attempt, about as many as a command has); more than
    there are takes all (its second). None gives every word its own label, which with
    silence_clips 0 is its first. The split is that of train/validation_list.txt and
    train/testing_list.txt. Raises UserError.
    """
    audio = root / "train" / "audio"
    if not audio.is_dir():
        raise UserError(f"data.root: {root} has no folder train/audio; needed is {LAYOUT}.")
    return list_words(
        root,
        audio,
        lists=root / "train",
        silence_clips=silence_clips,
        unknown_clips=unknown_clips,
    )


def submission_clips(root: Path) -> list[Path]:
    """The challenge's unlabelled clips test/audio/clip_*.wav, sorted. Raises UserError."""
    clips = sorted((root / "test" / "audio").glob("clip_*.wav"))
    if not clips:
        raise UserError(f"{root} has no test/audio/clip_*.wav to predict; needed is {LAYOUT}.")
    return clips
