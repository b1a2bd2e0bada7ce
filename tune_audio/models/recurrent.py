"""Recurrent networks on log-mel frames: the LSTM and GRU of report B, made to learn."""

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tune_audio.features import LogMel, MelAmplitude

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
                features=FEATURES[features](mel_bins),
                normalise=nn.BatchNorm1d(mel_bins) if normalise else nn.Identity(),
                recurrence=Recurrence(network, pooling),
                dropout=nn.Dropout(dropout),
                classifier=nn.Linear(hidden_size * (1 + bidirectional), num_labels),
            )
        )


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) over normalised log-mel frames.

    Waveform (B, clip_samples) in [-1, 1) at 16 kHz -> logits (B, num_labels).

    Report B's LSTM and GRU on mel amplitudes stayed at chance (3 % of 30 words); it suspects its
    preprocessing or its architecture. Repeated here on ten words (Speech Commands' test recordings,
    speakers apart, two layers of 128 in one direction, Adam at 0.001, 6 epochs, one seed), how the
    states are read matters more than the logarithm; validation accuracy, chance being 0.1:

        LSTM, last state   amplitude 0.24, log 0.50, normalised log 0.30
        LSTM, mean         amplitude 0.75, normalised log 0.76
        GRU, last state    amplitude 0.75
        amplitude of 16-bit integers, not of [-1, 1): LSTM mean 0.46, GRU last state 0.49

    Hence the mean over time and the normalisation by default: the last of 100 states comes long
    after the word, and large inputs, it seems, saturate the gates. None of these runs is wholly at
    chance, so something else failed in report B as well, which remains unknown.
    """

    NETWORK = nn.LSTM


class GRU(_Recurrent):
    """As LSTM, with gated recurrent units (Cho et al. 2014, arXiv:1406.1078)."""

    NETWORK = nn.GRU
