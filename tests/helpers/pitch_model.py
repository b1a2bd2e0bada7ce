"""A small model that tells the three pitches of make_tones apart, and what it is asked about."""

from pathlib import Path

import numpy as np
import torch
from make_audio import RATE, tone
from make_tones import TONES

from tune_audio.data.corpus import Corpus
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.models.saved import save_model

SAMPLES = 8000
PARAMS = {"mel_bins": 24, "channels": 16, "hidden_size": 16, "dropout": 0.0}


def save(folder: Path, model: LSTMCNN, labels: list[str], **extra: object) -> Path:
    save_model(
        folder,
        model,
        name="lstm_cnn",
        params=PARAMS,
        labels=labels,
        clip_samples=SAMPLES,
        sample_rate=RATE,
        extra=extra,
    )
    return folder


def pitch(name: str, seconds: float = 0.5) -> np.ndarray:
    noise = 0.02 * np.random.default_rng(1).standard_normal(round(seconds * 16_000))
    return 0.5 * tone(seconds, hertz=TONES[name]) + noise


def train(corpus: Corpus) -> LSTMCNN:
    rows = corpus.rows("train")
    waveforms = torch.from_numpy(corpus.waveforms(rows))
    targets = torch.from_numpy(corpus.targets[rows])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LSTMCNN(3, SAMPLES, RATE, **PARAMS)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(waveforms), targets).backward()
        optimizer.step()
    return model.eval()
