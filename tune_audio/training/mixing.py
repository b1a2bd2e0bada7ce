"""Which clips a batch is made of, and how they are mixed."""

import numpy as np
import torch
from torch import Tensor

from tune_audio.training.losses import one_hot


def sampling_weights(targets: Tensor, num_labels: int) -> Tensor:
    """How often each clip is to be drawn, (n,), so that rare labels are heard as often as common.

    targets: (n,) int64 or (n, num_labels) multi-hot. The sum over the clip's labels of
    1000 / (count + 0.01), count being the clips that have the label (Gong et al. 2021, PSLA,
    arXiv:2102.01243). A clip without labels is not drawn, unless none has any.
    """
    present = one_hot(targets, num_labels)
    weights = present @ (1000 / (present.sum(dim=0) + 0.01))
    return weights if weights.any() else torch.ones_like(weights)


def mixup(
    features: Tensor,
    targets: Tensor,
    num_labels: int,
    alpha: float,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """A batch mixed with itself in another order (Zhang et al. 2018, arXiv:1710.09412).

    features: (B, ...) float. targets: (B,) int64 or (B, num_labels) float. One share for the whole
    batch, drawn from Beta(alpha, alpha); targets come back as shares, float (B, num_labels).
    """
    share = generator.beta(alpha, alpha)
    order = torch.from_numpy(generator.permutation(len(features))).to(features.device)
    targets = one_hot(targets, num_labels)
    return torch.lerp(features[order], features, share), torch.lerp(targets[order], targets, share)
