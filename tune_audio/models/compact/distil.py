"""Distillation: a student learns to hear through noise what the teachers hear in the clean clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tune_audio.models.compact.corpus import Corpus, Hearing
from tune_audio.models.compact.students import STUDENTS, DistillationLoss, Student

BATCH_SIZE = 32
WARM_UP_STEPS = 400
TEACHER_FRAME_SAMPLES = 320
SNR_DB = (5.0, 35.0)


def learning_rate(step: int, warm_up: int, cool_down_from: int, last: int) -> float:
    """Share of the highest rate: linear warm-up, level, linear cool-down over the last epochs.

    Level in between, so that a run may be cut short or prolonged from any checkpoint.
    """
    if step < warm_up:
        return (step + 1) / warm_up
    return min(1.0, (last - step) / max(1, last - cool_down_from))


def distil(
    kind: str,
    corpus: Corpus,
    folder: Path,
    statistics: dict[str, float],
    epochs: int,
    cool_down_epochs: int,
    lr: float,
    seed: int,
    report: Callable[[str], None],
) -> Path:
    """Train a student, saving it every epoch under folder/kind; called again it goes on there."""
    targets = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frames", "logits")]
    torch.manual_seed(seed)  # initial weights take no generator
    generator = torch.Generator().manual_seed(seed)
    student = STUDENTS[kind](targets[0].shape[2], statistics, generator)
    optimizer = torch.optim.AdamW(
        student.parameters(), lr, betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )
    state_path, begun = folder / f"{kind}.state", 0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        begun = state["epoch"]
    rows = corpus.rows(held_out=False)
    steps = len(rows) // BATCH_SIZE
    loss_of = DistillationLoss()
    for epoch in range(begun + 1, epochs + 1):
        # an epoch's draws depend on its number alone, so a resumed run is the uninterrupted one
        generator.manual_seed(seed * 1000 + epoch)
        # dropout and transformers' masks know only the global states
        torch.manual_seed(seed * 1000 + epoch)
        np.random.seed(seed * 1000 + epoch)
        hearing = Hearing(corpus, np.random.default_rng([seed, 2, epoch]), SNR_DB)
        student.train()
        order = rows[torch.randperm(len(rows), generator=generator)]
        sums: dict[str, float] = {}
        for step, batch in enumerate(order.split(BATCH_SIZE)[:steps]):
            done = (epoch - 1) * steps + step
            level_until = (epochs - cool_down_epochs) * steps
            share = learning_rate(done, WARM_UP_STEPS, level_until, epochs * steps)
            optimizer.param_groups[0]["lr"] = lr * share
            shift = int(torch.randint(-6, 7, (1,), generator=generator))
            waveforms = torch.roll(corpus.waveforms(batch), shift * TEACHER_FRAME_SAMPLES, 1)
            frames, logits = (torch.from_numpy(t[batch.numpy()]).float() for t in targets)
            frames = student.teacher_frames(torch.roll(frames, shift, 1))
            with torch.autocast("cpu", torch.bfloat16):
                said = student(hearing(waveforms))
            losses = loss_of(said, (frames, logits), corpus.labels[batch])
            optimizer.zero_grad()
            losses["total"].backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.item()
            if (step + 1) % 100 == 0:
                means = {name: round(value / (step + 1), 3) for name, value in sums.items()}
                report(f"{kind} epoch {epoch} step {step + 1}/{steps} {means}")
        accuracy = held_out_accuracy(student, corpus)
        report(f"{kind} epoch {epoch}/{epochs} held-out accuracy {accuracy:.3f}")
        save(student, optimizer, epoch, state_path)
    return folder / kind


@torch.inference_mode()
def held_out_accuracy(student: Student, corpus: Corpus, clips: int = 1000) -> float:
    """Accuracy on clips of speakers that were not trained on, heard with noise and rooms."""
    student.eval()
    hearing = Hearing(corpus, np.random.default_rng(1), SNR_DB)
    rows = corpus.rows(held_out=True)
    rows = rows[torch.linspace(0, len(rows) - 1, min(clips, len(rows))).long()]
    right: list[Tensor] = [
        student(hearing(corpus.waveforms(part)))[1].argmax(1) == corpus.labels[part]
        for part in rows.split(BATCH_SIZE)
    ]
    return torch.cat(right).float().mean().item()


def save(student: Student, optimizer: torch.optim.Optimizer, epoch: int, state_path: Path) -> None:
    """Backbone and feature extractor as transformers loads them, and what a resumed run needs."""
    student.backbone.save_pretrained(state_path.with_suffix(""))
    student.extractor.save_pretrained(state_path.with_suffix(""))
    state = {"student": student.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
    partial = state_path.with_suffix(".partial")
    torch.save(state, partial)
    partial.rename(state_path)
