"""Train the suffix of a model for an epoch, evaluate it: plain torch that has not heard of Ray."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tune_audio.metrics import score
from tune_audio.pipeline import Features, View, split_model
from tune_audio.train_params import TrainParams

EVALUATION_BATCH = 256

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda w, p: torch.optim.Adam(w, p.lr, weight_decay=p.weight_decay, fused=True),
    "adamw": lambda w, p: torch.optim.AdamW(w, p.lr, weight_decay=p.weight_decay, fused=True),
    "adamax": lambda w, p: torch.optim.Adamax(w, p.lr, weight_decay=p.weight_decay),
    "sgd": lambda w, p: torch.optim.SGD(
        w, p.lr, momentum=p.momentum, weight_decay=p.weight_decay, fused=True
    ),
    "rmsprop": lambda w, p: torch.optim.RMSprop(w, p.lr, weight_decay=p.weight_decay),
}


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite: this configuration is lost, the others are not."""


@dataclass(frozen=True)
class Evaluation:
    """What a model says of one split: targets (n,), logits (n, labels), mean loss."""

    targets: np.ndarray
    logits: np.ndarray
    loss: float

    def score(self, metric: str) -> float:
        """A metric of METRICS."""
        return self.loss if metric == "loss" else score(metric, self.targets, self.logits)


class Learner:
    """One model, one configuration, one corpus; call `train_epoch` until `epoch` is enough.

    Every epoch draws from generators seeded by (seed, epoch) alone, so that a run which was
    killed and loaded again continues with the numbers it would have had.
    """

    def __init__(
        self,
        model: nn.Sequential,
        features: Callable[..., Features],
        params: TrainParams,
        *,
        epochs: int,
        metric: str = "val/accuracy",
        device: str = "cpu",
    ) -> None:
        self.model, self.params, self.epochs = model, params, epochs
        self.metric, self.device = metric.removeprefix("val/"), device
        prefix, self.suffix = split_model(model)
        self.suffix.to(device)
        self.features = features(
            prefix=prefix,
            augment=params.augment,
            views=params.views or epochs,
            seed=params.seed,
            device=device,
        )
        weights = [p for p in self.suffix.parameters() if p.requires_grad]
        self.optimizer = OPTIMIZERS[params.optimizer](weights, params)
        self.epoch = 0

    def train_epoch(self) -> dict[str, Any]:
        """Train one epoch, evaluate on validation; the epoch's row of measurements.

        Raises:
            DivergedError: the training or validation loss is not finite.
        """
        started = time.perf_counter()
        view = self.features.train(self.epoch)
        loss, accuracy = self._train_on(view)
        self.epoch += 1
        validation = self.evaluate("validation")
        if not np.isfinite([loss, validation.loss]).all():
            raise DivergedError(f"the loss is no longer finite in epoch {self.epoch}")
        return {
            "epoch": self.epoch,
            "train/loss": loss,
            "train/accuracy": accuracy,
            "val/loss": validation.loss,
            **{f"val/{name}": validation.score(name) for name in {"accuracy", self.metric}},
            "epoch_seconds": time.perf_counter() - started,
            "prefix": view.how,
        }

    def _train_on(self, view: View) -> tuple[float, float]:
        """One pass over a view in a drawn order; mean training loss and accuracy."""
        torch.manual_seed(_seed(self.params.seed, self.epoch))  # dropout draws from the global one
        order = torch.randperm(len(view))
        self.suffix.train()
        total = torch.zeros(2, device=self.device)
        steps = -(-len(view) // self.params.batch_size)
        for step, index in enumerate(order.to(self.device).split(self.params.batch_size)):
            self._set_rate(self.epoch + step / steps)
            features, targets = view.batch(index)
            logits = self.suffix(features)
            loss = self._loss(logits, targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            hits = (logits.detach().argmax(-1) == targets).sum()
            total += torch.stack([loss.detach() * len(index), hits])
        return tuple((total / len(view)).tolist())

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=self.params.label_smoothing)

    def _set_rate(self, progress: float) -> None:
        """Linear warm-up, then constant or half a cosine to zero; `progress` in epochs."""
        p, factor = self.params, 1.0
        if progress < p.warmup_epochs:
            factor = max(progress, 1e-2) / p.warmup_epochs
        elif p.schedule == "cosine":
            part = (progress - p.warmup_epochs) / max(self.epochs - p.warmup_epochs, 1e-9)
            factor = 0.5 * (1 + np.cos(np.pi * min(part, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = p.lr * factor

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """The model's logits for all clips of a split, without augmentation."""
        view = self.features.clean(split)
        self.suffix.eval()
        index = torch.arange(len(view), device=self.device)
        logits = torch.cat([self.suffix(view.batch(i)[0]) for i in index.split(EVALUATION_BATCH)])
        loss = F.cross_entropy(logits, view.targets).item()
        return Evaluation(view.targets.cpu().numpy(), logits.float().cpu().numpy(), loss)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on; the frozen prefix is not in it."""
        return {
            "epoch": self.epoch,
            "suffix": self.suffix.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.suffix.load_state_dict(state["suffix"])
        self.optimizer.load_state_dict(state["optimizer"])


def _seed(*parts: int) -> int:
    """A seed from several numbers, as torch takes it."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "big")
