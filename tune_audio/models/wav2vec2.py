"""wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477) with a linear head on the mean over time."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import numpy as np
import torch
import transformers
from annotated_types import Ge, Lt
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.waveforms import ZeroMeanUnitVariance
from tune_audio.models.pretrained import Backbone, Pretrained, at_rate, linear, require_samples


class Wav2Vec2(nn.Sequential):
    """Waveform (B, clip_samples) -> logits (B, num_labels), as transformers'
    Wav2Vec2ForSequenceClassification computes them (report A's first family).

    The mean over time stands before the projector and not, as there, behind it: both are linear, so
    the logits are the same, and a clip of a frozen backbone costs hidden_size numbers.

    checkpoint: a hub id or a folder.
    freeze: "backbone" trains the head alone, "feature_encoder" all but the convolutions on the
        waveform, "none" everything; a backbone that is trained also has its own dropout, layer drop
        and SpecAugment.
    dropout: of the classifier's input, the projected mean over time.
    pretrained: the backbone in place of the checkpoint's.

    Raises UserError: the checkpoint cannot be read or is no wav2vec 2.0, or clips are too short for
    its convolutions or, where it is trained, for its masks.
    """

    classes = Backbone(transformers.Wav2Vec2Model, transformers.Wav2Vec2FeatureExtractor)

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        pretrained: Pretrained | None = None,
        *,
        checkpoint: str = "facebook/wav2vec2-base",
        freeze: Literal["backbone", "feature_encoder", "none"] = "backbone",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ):
        trained = freeze != "backbone"
        pretrained = pretrained or self.classes.load(checkpoint, trained=trained)
        backbone, config = pretrained.backbone, pretrained.backbone.config
        if config.add_adapter:
            raise UserError(
                f"checkpoint {checkpoint}: has an adapter, which no classifier uses; give another."
            )
        rate = pretrained.extractor.sampling_rate
        resample, clip_samples = at_rate(rate, clip_samples, sample_rate)
        check_length(clip_samples, rate, config, trained)
        backbone.requires_grad_(trained)
        if freeze == "feature_encoder":
            backbone.freeze_feature_encoder()
        stages = OrderedDict(
            feature_encoder=FeatureEncoder(backbone),
            context=Context(backbone, masked=trained),
            pool=MeanOverTime(),
            projector=linear(config.hidden_size, config.classifier_proj_size, config),
            # behind a trained stage: before the first of them it would be in the frozen prefix
            dropout=nn.Dropout(dropout),
            classifier=linear(config.classifier_proj_size, num_labels, config),
        )
        if pretrained.extractor.do_normalize:
            stages = OrderedDict(normalise=ZeroMeanUnitVariance(), **stages)
        super().__init__(OrderedDict(**resample, **stages))
        self.architecture = pretrained.architecture


def check_length(
    clip_samples: int, rate: int, config: transformers.Wav2Vec2Config, trained: bool
) -> None:
    """Raises UserError for clips of no frame, or in training of fewer than a mask is long."""
    least = samples_of(1, config)
    require_samples(clip_samples, rate, least, "wav2vec2")
    if trained and config.apply_spec_augment and config.mask_time_prob > 0:
        require_samples(
            clip_samples,
            rate,
            samples_of(config.mask_time_length, config),
            f"a wav2vec2 that is trained with masks of {config.mask_time_length} frames",
            f"; set it higher, or freeze: backbone, which needs {least / rate:g}",
        )


def samples_of(frames: int, config: transformers.Wav2Vec2Config) -> int:
    """The fewest samples of which the convolutions make so many frames."""
    for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
        frames = (frames - 1) * stride + kernel
    return frames


class FeatureEncoder(nn.Module):
    """Seven convolutions: waveform (B, T) -> (B, frames, 512), a frame every 20 ms."""

    def __init__(self, backbone: transformers.Wav2Vec2Model):
        super().__init__()
        self.convolutions = backbone.feature_extractor

    def forward(self, waveform: Tensor) -> Tensor:
        return self.convolutions(waveform).transpose(1, 2)


class Context(nn.Module):
    """The transformer: (B, frames, 512) -> (B, frames, hidden_size).

    masked: in train(), SpecAugment with the checkpoint's own probabilities.
    """

    _mask_hidden_states = transformers.Wav2Vec2Model._mask_hidden_states

    def __init__(self, backbone: transformers.Wav2Vec2Model, masked: bool):
        super().__init__()
        self.config = backbone.config
        self.masked = masked
        self.feature_projection = backbone.feature_projection
        self.encoder = backbone.encoder
        if masked and hasattr(backbone, "masked_spec_embed"):
            self.masked_spec_embed = backbone.masked_spec_embed

    def forward(self, features: Tensor) -> Tensor:
        hidden_states, _ = self.feature_projection(features)
        if self.masked and self.training:
            with numpy_seeded_by_torch():
                hidden_states = self._mask_hidden_states(hidden_states)
        return self.encoder(hidden_states).last_hidden_state

    def extra_repr(self) -> str:
        return f"masked={self.masked}"


class MeanOverTime(nn.Module):
    """(B, frames, hidden_size) -> (B, hidden_size)."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states.mean(dim=1)


@contextmanager
def numpy_seeded_by_torch() -> Iterator[None]:
    """transformers draws masks from NumPy's global state: let them follow torch's, as dropout."""
    state = np.random.get_state()
    np.random.seed(int(torch.randint(2**31, ())))
    try:
        yield
    finally:
        np.random.set_state(state)
