"""Report E's CNN + Transformer on the raw waveform."""

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from tune_audio.errors import UserError
from tune_audio.models.attention import ClassToken, EncoderBlock, PrependClassToken, TimeTokens
from tune_audio.models.cnn_raw import CHANNELS, convolved_samples, waveform_convolutions


class CNNTransformerRaw(nn.Sequential):
    """Report E's CNN + Transformer: 2,607,778 trainable parameters for 10 labels, 16,000 samples.

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels). CNNRaw's
    convolutions; a class token of zeros, which is no parameter; two encoder blocks; a linear head.
    The count is the same for every num_heads (report E: 1, 2, 4): heads of 250 / 4 differ by one.

    tokens: report E's are the 32 channels, each 250 samples wide; "time" makes them the 250
        samples, each 32 channels wide.
    positions: without them, as in the report, the blocks see their tokens as a set and cannot
        tell one channel, or one moment, from another.

    The report's stayed at chance on ESC-10, predicting one class. So does this at a learning rate
    of 0.01 (four words of Speech Commands, 640 clips of 0.5 s to train on, other speakers to
    validate on, Adam, one seed; chance is 0.25): 0.27 after 3 epochs, one or two classes predicted;
    0.28 with norm_first. At 0.001 it learns, slowly: 0.53 after 6 epochs. It reaches 0.68 with
    tokens="time", activation="relu", positions="sinusoidal", norm_first=True, dropout=0.1 and
    feedforward=128 (changed together; which of them matters was not measured). On 1,145 whole
    clips of the same words, as reported and at 0.001, it has 0.65 of the test clips right after
    6 epochs, and CNNRaw 0.56.

    Raises UserError for clips shorter than 43 samples, or too short for num_heads.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        num_heads: Annotated[int, Ge(1), Le(32)] = 4,
        tokens: Literal["channels", "time"] = "channels",
        activation: Literal["none", "relu"] = "none",
        positions: Literal["none", "sinusoidal"] = "none",
        class_token: Literal["zero", "learned"] = "zero",
        norm_first: bool = False,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
        encoder_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
        feedforward: Annotated[int, Gt(0)] = 2048,
    ):
        samples = convolved_samples(clip_samples, "cnn_transformer_raw")
        length, width = (CHANNELS, samples) if tokens == "channels" else (samples, CHANNELS)
        if num_heads > width:
            raise UserError(
                f"cnn_transformer_raw: num_heads {num_heads} is more than the {width} columns of "
                f"its tokens; set num_heads to {width} or less, or data.clip_seconds higher"
            )
        stages = OrderedDict[str, nn.Module](
            convolutions=waveform_convolutions(dropout, activation),
            tokens=nn.Identity() if tokens == "channels" else TimeTokens(),
            prepend=PrependClassToken(
                length,
                width,
                learned=class_token == "learned",
                positions=positions == "sinusoidal",
                dropout=0.0,
            ),
            encoder=nn.Sequential(
                *(
                    EncoderBlock(width, num_heads, feedforward, encoder_dropout, norm_first)
                    for _ in range(2)
                )
            ),
            class_token=ClassToken(),
            head=nn.Linear(width, num_labels),
        )
        super().__init__(stages)
