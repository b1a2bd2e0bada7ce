"""A linear layer on what a clip's spectrum is like on the whole: what a network has to beat."""

from collections import OrderedDict
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from tune_audio.features.spectrograms import LogMel


class Statistics(nn.Module):
    """(B, bins, frames) -> (B, 3 * bins): mean, standard deviation and maximum over time."""

    def forward(self, features: Tensor) -> Tensor:
        deviation = features.std(-1, correction=0)
        return torch.cat([features.mean(-1), deviation, features.amax(-1)], dim=-1)


class Standardise(nn.BatchNorm1d):
    """(B, width) -> the same, each column with mean 0 and deviation 1, as over the batches so far.

    A batch of one clip, the rest of an epoch, says nothing of deviations.
    """

    def forward(self, columns: Tensor) -> Tensor:
        if not self.training or len(columns) > 1:
            return super().forward(columns)
        known = self.running_mean, self.running_var, self.weight, self.bias
        return nn.functional.batch_norm(columns, *known, training=False, eps=self.eps)


class MelStatistics(nn.Sequential):
    """Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels): multinomial regression.

    Of the mean, deviation and maximum of each log-mel bin, standardised over the batch. All before
    that is frozen, so that a trial costs next to nothing.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        mel_bins: Annotated[int, Ge(8)] = 64,
    ):
        width = 3 * mel_bins
        super().__init__(
            OrderedDict(
                log_mel=LogMel(sample_rate, mel_bins),
                statistics=Statistics(),
                head=nn.Sequential(Standardise(width), nn.Linear(width, num_labels)),
            )
        )
