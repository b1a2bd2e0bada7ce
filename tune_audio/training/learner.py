"""Train the suffix of a model for an epoch, evaluate it: plain torch that has not heard of Ray."""

import hashlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.features.pipeline import Features, View
from tune_audio.features.prefix import split_head, split_model
from tune_audio.features.spec_augment import spectrogram_stage
from tune_audio.machine.watchdog import alive
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.losses import make_loss
from tune_audio.training.metrics import check_metric
from tune_audio.training.mixing import mixup, sampling_weights
from tune_audio.training.train_params import TrainParams

EVALUATION_BATCH = 64

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


class Learner:
    """One model, one configuration, one corpus; call `train_epoch` until `epoch` is enough.

    Every epoch draws from generators seeded by (seed, epoch) alone, so that a run which was
    killed and loaded again continues with the numbers it would have had: on a CPU to the last bit,
    on a GPU as far as its kernels, some of which add up in no fixed order, repeat themselves.

    Raises UserError for a loss, metric or augmentation that is not for this model or data set, and
    for a backbone_lr where no backbone is trained.
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
        targets, num_labels = self.features.targets("train"), self.features.num_labels
        self.multi_label = targets.ndim == 2
        check_metric(self.metric, multi_label=self.multi_label)
        self.loss = make_loss(params.loss, targets, num_labels, params.label_smoothing)
        self.sampling = sampling_weights(targets, num_labels) if params.balanced_sampling else None
        self.optimizer = OPTIMIZERS[params.optimizer](_parameters(self.suffix, params), params)
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.epoch = 0

    def train_epoch(self) -> dict[str, Any]:
        """Train one epoch, evaluate on validation; the epoch's row of measurements.

        Accuracies are in it where a clip has one label. With mixup, training's is of the label that
        has the larger share.

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
            **({} if self.multi_label else {"train/accuracy": accuracy}),
            "val/loss": validation.loss,
            **{f"val/{name}": validation.score(name) for name in validation.usual(self.metric)},
            "epoch_seconds": time.perf_counter() - started,
            "prefix": view.how,
        }

    def _train_on(self, view: View) -> tuple[float, float]:
        """As many clips as a view has, in a drawn order; mean training loss and accuracy."""
        torch.manual_seed(_seed(self.params.seed, self.epoch))  # dropout draws from the global one
        order = self._order(view)
        self.suffix.train()
        total = torch.zeros(2, device=self.device)
        steps = -(-len(view) // self.params.batch_size)
        for step, index in enumerate(order.to(self.device).split(self.params.batch_size)):
            total += self.train_step(view, index, step, steps)
        return tuple((total / len(view)).tolist())

    def train_step(self, view: View, index: Tensor, step: int, steps: int) -> Tensor:
        """One step of an epoch of so many, in train mode: (summed loss, hits) of its clips."""
        alive()
        self._set_rate(self.epoch + step / steps)
        features, targets = self._mixed(*view.batch(index), step)
        logits = self.suffix(features)
        loss = self.loss(logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        labels = targets if targets.ndim == 1 else targets.argmax(-1)
        hits = (logits.detach().argmax(-1) == labels).sum()
        return torch.stack([loss.detach() * len(index), hits])

    def _order(self, view: View) -> Tensor:
        """Rows of an epoch's clips, from torch's global generator: each once, or by weight."""
        if self.sampling is None:
            return torch.randperm(len(view))
        return torch.multinomial(self.sampling.cpu(), len(view), replacement=True)

    def _mixed(self, features: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor]:
        p = self.params
        if not p.mixup_alpha:
            return features, targets
        generator = np.random.default_rng([p.seed, self.epoch, step])
        return mixup(features, targets, self.features.num_labels, p.mixup_alpha, generator)

    def _set_rate(self, progress: float) -> None:
        """Linear warm-up, then constant or half a cosine to zero; `progress` in epochs."""
        p, factor = self.params, 1.0
        if progress < p.warmup_epochs:
            factor = max(progress / p.warmup_epochs, 1e-2)  # the first step is to move something
        elif p.schedule == "cosine":
            part = (progress - p.warmup_epochs) / max(self.epochs - p.warmup_epochs, 1e-9)
            factor = 0.5 * (1 + math.cos(math.pi * min(part, 1.0)))
        for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """The model's logits for all clips of a split, without augmentation."""
        view = self.features.clean(split)
        self.suffix.eval()
        index = torch.arange(len(view), device=self.device)
        logits = torch.cat([self._logits(view, i) for i in index.split(EVALUATION_BATCH)])
        loss = self.loss(logits, view.targets, label_smoothing=0.0).item()
        rows = self.features.rows(split)
        recording = self.features.corpus.recording[rows]
        return Evaluation(self.features.corpus.targets[rows], logits.cpu().numpy(), loss, recording)

    def _logits(self, view: View, index: Tensor) -> Tensor:
        alive()
        return self.suffix(view.batch(index)[0]).float()

    def validation_scores(self) -> dict[str, float]:
        """Every metric of the validation clips, by the weights as they are now."""
        scores = self.evaluate("validation").scores()
        return {f"val/{name}": value for name, value in scores.items()}

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


def check_configuration(model: nn.Sequential, params: TrainParams, corpus: Corpus) -> None:
    """Raise UserError where a Learner would, without computing a feature."""
    prefix, suffix = split_model(model)
    spectrogram_stage(params.augment, prefix)
    _parameters(suffix, params)
    targets = torch.from_numpy(corpus.targets[corpus.rows("train")])
    make_loss(params.loss, targets, len(corpus.labels), params.label_smoothing)


def _parameters(suffix: nn.Sequential, params: TrainParams) -> list[Any]:
    """What is trained, in groups where the backbone has a rate of its own."""
    if params.backbone_lr is None:
        return [p for p in suffix.parameters() if p.requires_grad]
    backbone, head = split_head(suffix)
    if not backbone:
        raise UserError(
            f"backbone_lr: got {params.backbone_lr:g}, but only the head is trained here; "
            "leave it out, or give it only when: {freeze: none}"
        )
    return [{"params": head}, {"params": backbone, "lr": params.backbone_lr}]


def _seed(*parts: int) -> int:
    """A seed from several numbers, as torch takes it."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "big")
