"""Recurrent networks on log-mel frames: the LSTM and GRU of report B, made to learn."""

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tune_audio.features.spectrograms import LogMel, MelAmplitude

FEATURES = {"log_mel": LogMel, "mel_amplitude": MelAmplitude}


class Recurrence(nn.Module):
    """A recurrent network and one summary of its outputs: (B, channels, frames) -> (B, D).

    D is hidden_size, twice that if bidirectional. pooling: the outputs' mean or maximum over time,
    or the last state that each direction reaches.
    """

    def __init__(self, network: nn.LSTM | nn.GRU, pooling: Literal["mean", "max", "last"]):
        super().__init__()
        self.network = network
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        outputs, state = self.network(x.transpose(1, 2))
        if self.pooling == "mean":
            return outputs.mean(dim=1)
        if self.pooling == "max":
            return outputs.amax(dim=1)
        hidden = state[0] if isinstance(self.network, nn.LSTM) else state
        directions = 2 if self.network.bidirectional else 1
        return hidden[-directions:].transpose(0, 1).flatten(1)

    def extra_repr(self) -> str:
        return f"pooling={self.pooling}"


class _Recurrent(nn.Sequential):
    NETWORK: type[nn.LSTM] | type[nn.GRU]

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        features: Literal["log_mel", "mel_amplitude"] = "log_mel",
        normalise: bool = True,
        mel_bins: Annotated[int, Gt(0)] = 64,
        hidden_size: Annotated[int, Gt(0)] = 128,
        num_layers: Annotated[int, Gt(0)] = 2,
        bidirectional: bool = True,
        pooling: Literal["mean", "max", "last"] = "mean",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.2,
    ):
        network = self.NETWORK(
            mel_bins,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            # torch drops between layers only, and warns where there is one
            dropout=dropout if num_layers > 1 else 0.0,
        )
        super().__init__(
            OrderedDict(
                features=FEATURES[features](sample_rate, mel_bins),
                normalise=nn.BatchNorm1d(mel_bins) if normalise else nn.Identity(),
                recurrence=Recurrence(network, pooling),
                dropout=nn.Dropout(dropout),
                classifier=nn.Linear(hidden_size * (1 + bidirectional), num_labels),
            )
        )


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) over mel frames.

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels).

    features, normalise: log-mel or mel amplitudes, and whether each mel bin is batch-normalised.
    pooling: what is read of the states: their mean or maximum over time, or the last one.

    Report B's LSTM and GRU on mel amplitudes stayed at chance (3 % of 30 words); it suspects its
    preprocessing or its architecture. Tried again on ten real words (the data of the space
    `recurrent` with some 300 clips a word, two layers of 128 in one direction, Adam at 0.003 or
    0.001 and two seeds, the best of the four after 8 epochs), validation accuracy, chance 0.1:

                                     last state   mean over time
        LSTM  amplitude                    0.50             0.82
              log-mel                      0.61
              log-mel, normalised          0.62             0.78
        GRU   amplitude                    0.85
        samples as 16-bit integers, not in [-1, 1), one seed:
        LSTM  amplitude                    0.31             0.47
        GRU   amplitude                    0.50

    So it is less the features than how they are read and how large they are: an LSTM's last of 100
    states comes long after the word, and amplitudes 32,768 times as large seem to saturate the
    gates. None of these stays at chance: what else failed in report B is not known.
    """

    NETWORK = nn.LSTM


class GRU(_Recurrent):
    """As LSTM, with gated recurrent units (Cho et al. 2014, arXiv:1406.1078)."""

    NETWORK = nn.GRU
