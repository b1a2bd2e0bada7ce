"""Speech Commands without a download: the 35 words, or any words, spoken by espeak-ng.

Written in the layout of Speech Commands v0.02 (Warden 2018, arXiv:1804.03209): a folder a word,
files named SPEAKER_nohash_N.wav, validation_list.txt, testing_list.txt and _background_noise_/.
"""

import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from filelock import FileLock
from numpy.random import Generator

from tune_audio.data.progress import Track, untracked
from tune_audio.data.synthesis import SAMPLE_RATE, rooms
from tune_audio.data.synthesis.espeak import Espeak, loader
from tune_audio.data.synthesis.speakers import Cast, Speaker
from tune_audio.errors import UserError
from tune_audio.machine.publish import published_folder

# Core words first, in the order of the data set's README
# fmt: off
SPEECH_COMMANDS_WORDS = (
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go",
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow",
    "backward", "follow", "forward", "learn", "visual",
)
# None of Speech Commands' words, so that babble never says a label
BABBLE_WORDS = (
    "table", "window", "garden", "river", "paper", "market", "letter", "winter", "morning",
    "question", "answer", "mountain", "people", "purple", "simple", "water", "kitchen", "button",
)
# fmt: on
BACKGROUND_SECONDS = 60
# Clips that one process speaks: fixed, for what espeak-ng says depends on what it said before
CHUNK_CLIPS = 1000


@dataclass(frozen=True, slots=True)
class Utterance:
    """A clip to be: the take-th time that a speaker says a word."""

    word: str
    speaker: int
    take: int


def synthesize(
    folder: Path,
    words: Sequence[str] = SPEECH_COMMANDS_WORDS,
    clips_per_word: int | Mapping[str, int] = 1000,
    seed: int = 0,
    processes: int | None = None,
    track: Track = untracked,
    *,
    speakers: int = 600,
    conditions: rooms.Conditions | None = None,
) -> Path:
    """Write a synthetic data set in Speech Commands' layout and return its folder.

    clips_per_word: of every word, or by word.
    track: see `data.progress.tracking`.
    conditions: how hard it is to hear; the defaults are noisy enough for models to differ.

    Equal arguments give equal bytes, whatever the number of processes (default: one a core). A
    folder that is there is complete and kept as it is: it appears only once everything is written,
    and of several callers one writes. Raises UserError where espeak-ng is not installed or a word
    cannot be spoken or name a folder.
    """
    check_words(words)
    loader()
    conditions = conditions or rooms.Conditions()
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not folder.exists():
            cast = Cast(seed, conditions)
            utterances = plan(words, clips_per_word, seed, speakers)
            with published_folder(folder) as partial:
                _write_words(partial, utterances, cast, processes or os.cpu_count() or 1, track)
                _write_background_noise(partial / "_background_noise_", seed)
                _write_lists(partial, utterances, cast)
    return folder


def check_words(words: Sequence[str]) -> None:
    if not words:
        raise UserError("words: none were given; give at least one, such as: yes")
    for word in words:
        if not re.fullmatch(r"[^\W_][\w' -]*", word):
            raise UserError(
                f"words: {word!r} cannot be a folder of clips; "
                "allowed are letters, digits, spaces, ', - and _, beginning with a letter or digit"
            )
    if len(set(map(str.casefold, words))) < len(words):
        twice = Counter(map(str.casefold, words)).most_common(1)[0][0]
        raise UserError(f"words: {twice!r} is there more than once; give each word once")


def plan(
    words: Sequence[str], clips_per_word: int | Mapping[str, int], seed: int, speakers: int
) -> list[Utterance]:
    """Who says what: a word's speakers depend on the seed and the word, not on the other words."""
    utterances = []
    for word in words:
        rng = np.random.default_rng([seed, 2, *word.encode()])
        takes: Counter[int] = Counter()
        clips = clips_per_word if isinstance(clips_per_word, int) else clips_per_word[word]
        for speaker in rng.integers(speakers, size=clips).tolist():
            utterances.append(Utterance(word, speaker, takes[speaker]))
            takes[speaker] += 1
    return utterances


def _write_words(
    folder: Path,
    utterances: list[Utterance],
    cast: Cast,
    processes: int,
    track: Track,
) -> None:
    for word in {utterance.word for utterance in utterances}:
        (folder / word).mkdir(parents=True, exist_ok=True)
    chunks = [
        utterances[start : start + CHUNK_CLIPS] for start in range(0, len(utterances), CHUNK_CLIPS)
    ]
    with ProcessPoolExecutor(
        max_workers=min(processes, len(chunks)),
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=1,  # espeak-ng's state begins anew only in a new process
    ) as pool:
        written = [pool.submit(_write_chunk, folder, chunk, cast) for chunk in chunks]
        clips = (clip for future in as_completed(written) for clip in range(future.result()))
        try:
            for _ in track(clips, "Speaking", len(utterances)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_chunk(folder: Path, utterances: list[Utterance], cast: Cast) -> int:
    espeak = Espeak()
    first = utterances[0]
    rng = np.random.default_rng([cast.seed, 3, *first.word.encode(), first.speaker, first.take])
    babble = _babble(espeak, cast, rng)
    for utterance in utterances:
        speaker = cast.speaker(utterance.speaker)
        rng = np.random.default_rng(
            [cast.seed, 4, utterance.take, utterance.speaker, *utterance.word.encode()]
        )
        dry = _say(espeak, rng, speaker, utterance.word)
        clip = rooms.record(rng, dry, speaker.surroundings, cast.conditions, babble)
        path = folder / utterance.word / f"{speaker.id}_nohash_{utterance.take}.wav"
        soundfile.write(path, clip, SAMPLE_RATE, subtype="PCM_16")
    return len(utterances)


def _say(espeak: Espeak, rng: Generator, speaker: Speaker, text: str) -> np.ndarray:
    """The text as this speaker says it this time: dry, float (samples,) at 16 kHz, of power 1."""
    waveform = espeak.say(
        text.replace("_", " "),
        speaker.voice,
        words_per_minute=int(speaker.words_per_minute * rng.uniform(0.85, 1.15)),
        pitch=int(np.clip(speaker.pitch + rng.normal(0, 8), 0, 99)),
        pitch_range=int(np.clip(speaker.pitch_range + rng.normal(0, 15), 0, 99)),
    )
    if len(waveform) < SAMPLE_RATE // 20 or np.abs(waveform).max() < 1e-3:
        raise UserError(
            f"words: espeak-ng has no sound for {text!r} (voice {speaker.voice}); "
            "spell it as it is said in English"
        )
    warped = SAMPLE_RATE / espeak.sample_rate / speaker.vocal_tract_warp
    return rooms.unit_power(rooms.resample(rooms.trim(waveform), warped))


def _babble(espeak: Espeak, cast: Cast, rng: Generator, seconds: int = 8) -> np.ndarray:
    """Many people talking at once: float (samples,)."""
    babble = np.zeros(seconds * SAMPLE_RATE)
    for _ in range(6 * seconds):
        text = " ".join(rng.choice(BABBLE_WORDS, 4))
        voice = _say(espeak, rng, cast.speaker(int(rng.integers(2**31))), text)[: 3 * SAMPLE_RATE]
        start = rng.integers(0, len(babble) - len(voice))
        babble[start : start + len(voice)] += voice * rng.uniform(0.3, 1)
    return babble


def _write_background_noise(folder: Path, seed: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng([seed, 5])
    for name, noise in rooms.NOISES.items():
        waveform = noise(rng, BACKGROUND_SECONDS * SAMPLE_RATE)
        waveform *= rng.uniform(0.1, 0.6) / np.abs(waveform).max()
        soundfile.write(folder / f"{name}.wav", waveform, SAMPLE_RATE, subtype="PCM_16")


def _write_lists(folder: Path, utterances: list[Utterance], cast: Cast) -> None:
    speakers = {number: cast.speaker(number) for number in {u.speaker for u in utterances}}
    for split in ("validation", "testing"):
        lines = sorted(
            f"{u.word}/{speakers[u.speaker].id}_nohash_{u.take}.wav\n"
            for u in utterances
            if speakers[u.speaker].split == split
        )
        (folder / f"{split}_list.txt").write_text("".join(lines))
