"""AST, the audio spectrogram transformer (Gong et al. 2021, arXiv:2104.01778)."""

import copy
from collections import OrderedDict
from typing import Annotated, Literal, Protocol

import torch
import transformers
from annotated_types import Ge, Lt
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.spectrograms import KaldiFbank, window_samples
from tune_audio.models.pretrained import Backbone, Pretrained, at_rate, linear, require_samples


class AST(nn.Sequential):
    """Waveform (B, clip_samples) -> logits (B, num_labels), as transformers'
    ASTForAudioClassification computes them (reports A, B and D).

    checkpoint: a hub id or a folder.
    freeze: "backbone" trains the head alone, "none" everything.
    max_length: spectrogram frames (10 ms each) that a clip is filled or cut to; None is the
        checkpoint's own, 1024 for AudioSet's. Another length adapts the position embeddings
        (`with_frames`): 128 frames for one-second clips cost an eighth or less of 1024.
    dropout: of the classifier's input; a backbone that is trained has its checkpoint's own, too.
    pretrained: the backbone in place of the checkpoint's.

    Raises UserError: clips shorter than 25 ms, or the checkpoint cannot be read or is no AST.
    """

    classes = Backbone(transformers.ASTModel, transformers.ASTFeatureExtractor)

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        pretrained: Pretrained | None = None,
        *,
        checkpoint: str = "MIT/ast-finetuned-audioset-10-10-0.4593",
        freeze: Literal["backbone", "none"] = "backbone",
        max_length: Annotated[int, Ge(16)] | None = None,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ):
        trained = freeze == "none"
        pretrained = pretrained or self.classes.load(checkpoint, trained=trained)
        backbone, extractor = pretrained.backbone, pretrained.extractor
        config, rate = backbone.config, extractor.sampling_rate
        resample, clip_samples = at_rate(rate, clip_samples, sample_rate)
        require_samples(clip_samples, rate, window_samples(rate), "ast")
        if extractor.max_length != config.max_length:
            raise UserError(
                f"checkpoint {checkpoint}: its features have {extractor.max_length} frames, its "
                f"model takes {config.max_length}; make preprocessor_config.json agree."
            )
        backbone.requires_grad_(trained)
        frames = max_length or extractor.max_length
        super().__init__(
            OrderedDict(
                **resample,
                fbank=KaldiFbank(
                    rate,
                    max_length=frames,
                    mel_bins=extractor.num_mel_bins,
                    mean=extractor.mean,
                    std=extractor.std,
                    do_normalize=extractor.do_normalize,
                ),
                backbone=Transformer(backbone, frames),
                pool=MeanOfTwoTokens(),
                layernorm=nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps),
                # behind a trained stage: before the first of them it would be in the frozen prefix
                dropout=nn.Dropout(dropout),
                classifier=linear(config.hidden_size, num_labels, config),
            )
        )
        self.architecture = pretrained.architecture


class Transformer(nn.Module):
    """(B, frames, mel_bins) -> (B, 2 + patches, hidden_size): two tokens, then the patches."""

    def __init__(self, backbone: transformers.ASTModel, frames: int):
        super().__init__()
        self.config = backbone.config
        self.embeddings = with_frames(backbone.embeddings, frames)
        self.layers = backbone.layers
        self.layernorm = backbone.layernorm

    def forward(self, fbank: Tensor) -> Tensor:
        hidden_states = self.embeddings(fbank)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return self.layernorm(hidden_states)


class MeanOfTwoTokens(nn.Module):
    """(B, tokens, hidden_size) -> (B, hidden_size): the mean of class and distillation token."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states[:, :2].mean(dim=1)


class Embeddings(Protocol):
    """What is used of transformers' ASTEmbeddings: (B, frames, mel_bins) -> (B, tokens, width)."""

    config: transformers.ASTConfig
    position_embeddings: nn.Parameter

    def __call__(self, fbank: Tensor) -> Tensor: ...

    def get_shape(self, config: transformers.ASTConfig) -> tuple[int, int]: ...


def with_frames(embeddings: Embeddings, frames: int) -> Embeddings:
    """ASTEmbeddings for another number of frames: themselves, or a copy with other positions.

    As in the authors' code, fewer positions are the middle ones of those there are, so that
    neighbours stay neighbours; more are interpolated between them.
    """
    config = copy.deepcopy(embeddings.config)
    grid = embeddings.get_shape(config)
    if frames == config.max_length:
        return embeddings
    config.max_length = frames
    wanted = embeddings.get_shape(config)
    tokens, positions = embeddings.position_embeddings.detach().tensor_split([2], dim=1)
    positions = positions.unflatten(1, grid).permute(0, 3, 1, 2)
    if wanted[1] <= grid[1]:
        positions = positions.narrow(-1, (grid[1] - wanted[1]) // 2, wanted[1])
    else:
        positions = nn.functional.interpolate(positions, size=wanted, mode="bilinear")
    positions = positions.permute(0, 2, 3, 1).flatten(1, 2)
    resized = copy.deepcopy(embeddings)
    resized.config = config
    resized.position_embeddings = nn.Parameter(
        torch.cat([tokens, positions], dim=1), embeddings.position_embeddings.requires_grad
    )
    return resized
