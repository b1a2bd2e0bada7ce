"""The teachers: small convolutional networks that name words, and what they say of every clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tune_audio.data.synthesis import SAMPLE_RATE
from tune_audio.features.spectrograms import KaldiFbank
from tune_audio.models.compact.corpus import WORDS, Corpus, Hearing

MEL_BINS = 64
FRAMES = 98  # of 10 ms, in a second
TEACHER_FRAMES = 49  # of 20 ms: those of wav2vec 2.0
BATCH_SIZE = 64
# Targets come from clean clips, so that a teacher needs to stand little noise, and learns faster
SNR_DB = (15.0, 40.0)


class Residual(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Teacher(nn.Module):
    """fbank (B, 98, 64) -> frame features (B, width, 49) and logits (B, words)."""

    def __init__(self, width: int = 192, blocks: int = 4, dropout: float = 0.3):
        super().__init__()

        def convolution(channels: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv1d(channels, width, 5, stride, padding=2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            )

        self.frames = nn.Sequential(
            convolution(MEL_BINS, stride=2),
            *[Residual(convolution(width, stride=1)) for _ in range(blocks)],
        )
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * width), nn.Dropout(dropout), nn.Linear(2 * width, len(WORDS))
        )

    def forward(self, fbank: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.frames(fbank.transpose(1, 2))
        return frames, self.head(torch.cat([frames.mean(2), frames.amax(2)], 1))


def spec_augment(fbank: Tensor, generator: torch.Generator, frames: int, bins: int) -> Tensor:
    """One time and one frequency mask a clip of (B, T, F) (Park et al. 2019, arXiv:1904.08779)."""
    for axis, widest in ((1, frames), (2, bins)):
        size = fbank.shape[axis]
        width = torch.randint(0, widest + 1, (len(fbank), 1), generator=generator)
        start = (torch.rand(len(fbank), 1, generator=generator) * (size - width)).long()
        place = torch.arange(size)
        masked = (place >= start) & (place < start + width)
        fbank = fbank.masked_fill(masked.unsqueeze(3 - axis), 0.0)
    return fbank


def fbank_statistics(corpus: Corpus, hearing: Hearing, clips: int = 2000) -> dict[str, float]:
    """Mean and standard deviation of the training clips' fbank as heard in training."""
    rows = corpus.rows(held_out=False)
    rows = rows[torch.linspace(0, len(rows) - 1, clips).long()]
    raw = KaldiFbank(SAMPLE_RATE, FRAMES, MEL_BINS, do_normalize=False)
    fbank = torch.cat([raw(hearing(corpus.waveforms(part))) for part in rows.split(BATCH_SIZE)])
    return {"mean": round(fbank.mean().item(), 4), "std": round(fbank.std().item(), 4)}


def train_teacher(
    corpus: Corpus, path: Path, epochs: int, seed: int, report: Callable[[str], None]
) -> None:
    """Train a teacher with noise, rooms and SpecAugment; its file appears when it is done."""
    torch.manual_seed(seed)  # initial weights and dropout take no generator
    generator = torch.Generator().manual_seed(seed)
    hearing = Hearing(corpus, np.random.default_rng([seed, 1]), SNR_DB)
    # of a hearing of its own seed, so that all teachers and students see the same features
    statistics = fbank_statistics(corpus, Hearing(corpus, np.random.default_rng(0), SNR_DB))
    fbank = KaldiFbank(SAMPLE_RATE, FRAMES, MEL_BINS, statistics["mean"], statistics["std"])
    teacher = Teacher()
    rows = corpus.rows(held_out=False)
    steps = len(rows) // BATCH_SIZE
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=2e-3, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * steps)
    for epoch in range(1, epochs + 1):
        teacher.train()
        order = rows[torch.randperm(len(rows), generator=generator)]
        for step, batch in enumerate(order.split(BATCH_SIZE)[:steps], start=1):
            features = spec_augment(fbank(hearing(corpus.waveforms(batch))), generator, 16, 10)
            with torch.autocast("cpu", torch.bfloat16):
                _, logits = teacher(features)
            loss = F.cross_entropy(logits.float(), corpus.labels[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % 100 == 0:
                report(f"teacher {seed} epoch {epoch} step {step}/{steps} loss {loss.item():.3f}")
        accuracy = held_out_accuracy(teacher, corpus, fbank)
        report(f"teacher {seed} epoch {epoch}/{epochs} held-out accuracy {accuracy:.3f}")
    partial = path.with_suffix(".partial")
    torch.save({"teacher": teacher.state_dict(), "statistics": statistics}, partial)
    partial.rename(path)


@torch.inference_mode()
def held_out_accuracy(
    teacher: Teacher, corpus: Corpus, fbank: KaldiFbank, clips: int = 2000
) -> float:
    """Accuracy on clips of speakers that were not trained on, heard with noise and rooms."""
    teacher.eval()
    hearing = Hearing(corpus, np.random.default_rng(1), SNR_DB)
    rows = corpus.rows(held_out=True)
    rows = rows[torch.linspace(0, len(rows) - 1, min(clips, len(rows))).long()]
    right = [
        teacher(fbank(hearing(corpus.waveforms(part))))[1].argmax(1) == corpus.labels[part]
        for part in rows.split(BATCH_SIZE)
    ]
    return torch.cat(right).float().mean().item()


@torch.inference_mode()
def write_targets(corpus: Corpus, paths: list[Path], folder: Path) -> dict[str, float]:
    """What the teachers say of all clean clips: frames (n, 49, C), logits (n, words), float16.

    Frames are standardised, those of several teachers stand side by side; logits are averaged.
    Returns the fbank's statistics.
    """
    saved = [torch.load(path, weights_only=True) for path in paths]
    statistics = saved[0]["statistics"]
    fbank = KaldiFbank(SAMPLE_RATE, FRAMES, MEL_BINS, statistics["mean"], statistics["std"])
    teachers = [Teacher().eval() for _ in saved]
    for teacher, state in zip(teachers, saved, strict=True):
        teacher.load_state_dict(state["teacher"])
    if (folder / "frames.npy").exists():
        return statistics

    def speak(rows: Tensor) -> tuple[Tensor, Tensor]:
        frames, logits = zip(*[t(fbank(corpus.waveforms(rows))) for t in teachers], strict=True)
        return torch.cat(frames, 1).transpose(1, 2), torch.stack(logits).mean(0)

    everything = torch.arange(len(corpus.labels))
    sample = torch.cat([speak(part)[0] for part in everything[::37].split(BATCH_SIZE)])
    mean, std = sample.mean((0, 1)), sample.std((0, 1)) + 1e-4
    frames = np.empty((len(everything), *sample.shape[1:]), np.float16)
    logits = np.empty((len(everything), len(WORDS)), np.float16)
    for part in everything.split(BATCH_SIZE):
        spoken, named = speak(part)
        frames[part.numpy()] = ((spoken - mean) / std).numpy()
        logits[part.numpy()] = named.numpy()
    np.save(folder / "logits.npy", logits)
    np.save(folder / "frames.partial.npy", frames)
    (folder / "frames.partial.npy").rename(folder / "frames.npy")
    return statistics
