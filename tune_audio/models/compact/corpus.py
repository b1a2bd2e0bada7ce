"""The synthetic words that the compact backbones learn from, and how they reach the microphone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from filelock import FileLock
from numpy.random import Generator
from torch import Tensor

from tune_audio.data.progress import Track
from tune_audio.data.synthesis import SAMPLE_RATE, rooms
from tune_audio.data.synthesis.synthetic import SPEECH_COMMANDS_WORDS, synthesize

WORDS = tuple((Path(__file__).parent / "words.txt").read_text().split())
if overlap := set(WORDS) & set(SPEECH_COMMANDS_WORDS):
    raise ValueError(f"words.txt must hold none of the words to be tuned on: {sorted(overlap)}")

# Nearly clean: targets come from the clean word, all training hears it through Hearing
DRY = rooms.Conditions(
    snr_db=(30.0, 50.0), room_probability=0.0, clipping_probability=0.0, shift_seconds=0.05
)


@dataclass(frozen=True)
class Corpus:
    """Clips int16 (n, 16000), their numbers in `WORDS` (n,), and who is held out (n,)."""

    clips: np.ndarray
    labels: Tensor
    held_out: Tensor

    def rows(self, held_out: bool) -> Tensor:
        return torch.nonzero(self.held_out == held_out).squeeze(1)

    def waveforms(self, rows: Tensor) -> Tensor:
        """Float32 (B, 16000) in [-1, 1)."""
        return torch.from_numpy(self.clips[rows.numpy()].astype(np.float32) / 32768)


def prepare(folder: Path, clips_per_word: int, seed: int, processes: int, track: Track) -> Corpus:
    """Speak the words below the folder, or open what is there already."""
    spoken = synthesize(
        folder / "words",
        WORDS,
        clips_per_word,
        seed,
        processes,
        track=track,
        speakers=5000,
        conditions=DRY,
    )
    packed = folder / "words.npy"
    paths = [path for word in WORDS for path in sorted((spoken / word).iterdir())]
    with FileLock(folder / "words.npy.lock"):
        if not packed.exists():
            partial = packed.with_suffix(".partial.npy")
            np.save(partial, np.stack([soundfile.read(path, dtype="int16")[0] for path in paths]))
            partial.rename(packed)
    held_out = set((spoken / "validation_list.txt").read_text().split("\n"))
    return Corpus(
        clips=np.load(packed, mmap_mode="r"),
        labels=torch.tensor([WORDS.index(path.parent.name) for path in paths]),
        held_out=torch.tensor([f"{path.parent.name}/{path.name}" in held_out for path in paths]),
    )


class Hearing:
    """How a clean clip arrives at the microphone: room, tone, noise, level, drawn anew each time.

    Rooms and noises are drawn once into banks: a batch costs two Fourier transforms and a sum.
    """

    RESPONSES = 400
    RESPONSE_SAMPLES = 6400
    FFT_SIZE = 22500
    NOISE_SECONDS = 40

    def __init__(self, corpus: Corpus, rng: Generator, snr_db: tuple[float, float]):
        self.snr_db = snr_db
        responses = np.stack([self._response(rng) for _ in range(self.RESPONSES)])
        spectra = np.fft.rfft(responses, self.FFT_SIZE) * self._tones(rng)
        self.spectra = torch.from_numpy(spectra.astype(np.complex64))
        self.noise = torch.from_numpy(self._noises(corpus, rng).astype(np.float32))
        self.rng = rng

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, T) -> (B, T): half get a room and a tone, all get noise and a level."""
        rng, (count, samples) = self.rng, waveforms.shape
        away = torch.from_numpy(rng.permutation(count)[: count // 2])
        drawn = torch.from_numpy(rng.integers(self.RESPONSES, size=len(away)))
        spectra = torch.fft.rfft(waveforms[away], self.FFT_SIZE) * self.spectra[drawn]
        heard = waveforms.clone()
        heard[away] = torch.fft.irfft(spectra, self.FFT_SIZE)[:, :samples]
        starts = torch.from_numpy(rng.integers(len(self.noise) - samples, size=count))
        noise = self.noise.unfold(0, samples, 1)[starts]
        snr_db = torch.from_numpy(rng.uniform(*self.snr_db, size=(count, 1)).astype(np.float32))
        ratio = heard.std(1, keepdim=True) / (noise.std(1, keepdim=True) + 1e-9)
        heard = heard + noise * ratio * 10 ** (-snr_db / 20)
        peak_db = torch.from_numpy(rng.uniform(-32, 0, size=(count, 1)).astype(np.float32))
        return heard * 10 ** (peak_db / 20) / heard.abs().amax(1, keepdim=True)

    def _response(self, rng: Generator) -> np.ndarray:
        response = np.zeros(self.RESPONSE_SAMPLES)
        response[0] = 1
        if rng.random() < 0.6:
            room = rooms.room_response(rng, rng.uniform(0.1, 0.8), rng.uniform(0, 18))
            response[: len(room)] = room[: self.RESPONSE_SAMPLES]
        return response

    def _tones(self, rng: Generator) -> np.ndarray:
        """Smooth random gains, N(0, 4) dB at eight log-spaced points: (responses, bins)."""
        points_hz = np.geomspace(60, SAMPLE_RATE / 2, 8)
        frequencies = np.fft.rfftfreq(self.FFT_SIZE, 1 / SAMPLE_RATE)
        gains_db = [
            np.interp(frequencies, points_hz, rng.normal(0, 4, 8)) for _ in range(self.RESPONSES)
        ]
        return 10 ** (np.stack(gains_db) / 20)

    def _noises(self, corpus: Corpus, rng: Generator) -> np.ndarray:
        """Every kind of noise several times, and babble made of other people's words."""
        samples = self.NOISE_SECONDS * SAMPLE_RATE
        kinds = [noise(rng, samples // 4) for noise in rooms.NOISES.values() for _ in range(4)]
        babble = np.zeros(4 * samples)
        training = corpus.rows(held_out=False).numpy()
        for row in rng.choice(training, 12 * self.NOISE_SECONDS):
            start = rng.integers(len(babble) - SAMPLE_RATE)
            clip = rooms.unit_power(corpus.clips[row] / 32768)
            babble[start : start + SAMPLE_RATE] += clip * rng.uniform(0.3, 1)
        return np.concatenate([*kinds, rooms.unit_power(babble)])
