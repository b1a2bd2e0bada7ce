"""What training lowers: name -> function of logits and targets.

`loss(logits, targets, *, label_smoothing) -> scalar`, a mean over the batch. Logits are float
(B, L); targets int64 (B,) labels, or float (B, L): multi-hot, or the shares that mixup leaves.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tune_audio.errors import UserError

# A label of five clips in FSD50K's 36,796 would weigh 7,358 and drown all others.
LARGEST_POSITIVE_WEIGHT = 100.0


class Loss(NamedTuple):
    """A loss, and what it is for.

    multi_label: whether a clip may have several labels.
    weighted: whether it also takes positive_weight, see `positive_weights`.
    """

    function: Callable[..., Tensor]
    multi_label: bool
    weighted: bool = False


def make_loss(
    name: str, targets: Tensor, num_labels: int, label_smoothing: float = 0.0
) -> Callable[..., Tensor]:
    """A loss of LOSSES for these training targets: `loss(logits, targets) -> scalar`.

    targets: those of all training clips, (n,) int64 or (n, num_labels) multi-hot.
    Raises UserError if the loss is for one label a clip and the targets have several.
    """
    function, multi_label, weighted = LOSSES[name]
    if targets.ndim == 2 and not multi_label:
        allowed = ", ".join(n for n in LOSSES if LOSSES[n].multi_label)
        raise UserError(
            f"loss: got {name}, which needs one label a clip, and here a clip may have several; "
            f"allowed: {allowed}"
        )
    settings: dict[str, Any] = {"label_smoothing": label_smoothing}
    if weighted:
        settings["positive_weight"] = positive_weights(targets, num_labels)
    return partial(function, **settings)


def one_hot(targets: Tensor, num_labels: int) -> Tensor:
    """Float (B, num_labels) of labels (B,); what is float already stays as it is."""
    return targets if targets.is_floating_point() else F.one_hot(targets, num_labels).float()


def cross_entropy(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy with the softmax of the logits; smoothing as Szegedy et al. 2016."""
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def mse(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean squared error between the softmax of the logits and one-hot targets (report B).

    What Keras computes for a softmax layer and loss="mse": the mean over batch and labels. With
    smoothing, the targets are those of `cross_entropy`: (1 - e) one-hot + e / L.
    """
    num_labels = logits.shape[-1]
    wanted = one_hot(targets, num_labels) * (1 - label_smoothing) + label_smoothing / num_labels
    return F.mse_loss(logits.softmax(dim=-1), wanted)


def bce(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    positive_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of each label's sigmoid (report D): the mean over batch and labels.

    With smoothing, targets y become (1 - e) y + e / 2, as Keras has it. positive_weight, (L,),
    multiplies the term -y log p of each label.
    """
    wanted = one_hot(targets, logits.shape[-1]) * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=positive_weight)


def positive_weights(targets: Tensor, num_labels: int) -> Tensor:
    """How much a label's presence weighs against its absence: (num_labels,), from all targets.

    The clips without the label over those with it, as torch's BCEWithLogitsLoss proposes for
    pos_weight: both sides then weigh the same in sum. At most LARGEST_POSITIVE_WEIGHT; 1 for a
    label without clips, or one that all have. Report D wishes for it.
    """
    present = one_hot(targets, num_labels).sum(dim=0)
    absent = len(targets) - present
    weights = (absent / present.clamp(min=1)).clamp(max=LARGEST_POSITIVE_WEIGHT)
    return torch.where((present > 0) & (absent > 0), weights, 1.0)


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(cross_entropy, multi_label=False),
    "mse": Loss(mse, multi_label=False),
    "bce": Loss(bce, multi_label=True),
    "bce_weighted": Loss(bce, multi_label=True, weighted=True),
}
