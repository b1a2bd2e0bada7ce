"""Report D's AST: a DeiT trained on ImageNet, made to see spectrograms."""

from collections import OrderedDict
from typing import Annotated, Any, Literal, NamedTuple

import torch
import transformers
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tune_audio.features.spectrograms import KaldiFbank, window_samples
from tune_audio.models.ast import MeanOfTwoTokens, Transformer
from tune_audio.models.pretrained import Backbone, Pretrained, linear, require_samples

# hidden size and attention heads of the published checkpoints; the rest is DeiTConfig's default
PUBLISHED = {
    "facebook/deit-tiny-distilled-patch16-224": (192, 3),
    "facebook/deit-small-distilled-patch16-224": (384, 6),
    "facebook/deit-base-distilled-patch16-224": (768, 12),
}


class SpectrogramExtractor(transformers.ASTFeatureExtractor):
    """AST's settings: a DeiT checkpoint only says how to prepare images."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> "SpectrogramExtractor":
        return cls()


class DeiTAST(nn.Sequential):
    """AST (Gong et al. 2021, arXiv:2104.01778) from a distilled DeiT (Touvron et al. 2021,
    arXiv:2012.12877), as in report D: 0.909 on its slim set, 0.464 mAP on FSD50K (both tiny).

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels).

    checkpoint: a hub id (facebook/deit-tiny-distilled-patch16-224, -small-, -base-) or a folder.
    initial_weights: the checkpoint's, or random ones in the checkpoint's architecture, for which
        the three published ids need no network (report D's 'from scratch').
    freeze: "backbone" trains the head alone, "none" everything.
    stride: of the patches, in mel bins and in frames; 10 lets patches of 16 overlap by 6.
    colours: whether a patch's weights are averaged over red, green and blue, as the paper does, or
        summed, which equals DeiT on grey images.
    positions: bilinear to the new grid, or centre: the middle of an axis that became shorter, as
        the paper's code does, and bilinear along one that became longer.
    max_length: frames (10 ms each) that a clip is filled or cut to; None: those of clip_samples.
    feature_mean, feature_std: of the data set's filter bank; the defaults are AudioSet's.
    dropout: of the classifier's input.
    pretrained: the DeiT in place of the checkpoint's.

    Raises UserError: clips shorter than 25 ms, or the checkpoint cannot be read or is no DeiT.

    Its SpecAugment (report D) is augment: frequency_mask+frame_mask.
    """

    classes = Backbone(transformers.DeiTModel, SpectrogramExtractor, unread="pooler.")

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        pretrained: Pretrained | None = None,
        *,
        checkpoint: str = "facebook/deit-tiny-distilled-patch16-224",
        initial_weights: Literal["checkpoint", "random"] = "checkpoint",
        freeze: Literal["backbone", "none"] = "none",
        stride: Literal[10, 16] = 10,
        colours: Literal["average", "sum"] = "average",
        positions: Literal["bilinear", "centre"] = "bilinear",
        mel_bins: Annotated[int, Ge(16)] = 128,
        max_length: Annotated[int, Ge(16)] | None = None,
        feature_mean: float = -4.2677393,
        feature_std: Annotated[float, Gt(0)] = 4.5689974,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ):
        require_samples(clip_samples, sample_rate, window_samples(sample_rate), "deit_ast")
        trained = freeze == "none"
        if pretrained is None:
            pretrained = self._start(checkpoint, initial_weights, trained)
        deit = pretrained.backbone.requires_grad_(trained)
        whole = KaldiFbank.frames(clip_samples, sample_rate)
        frames = max_length or max(deit.config.patch_size, whole)
        config = spectrogram_config(deit.config, stride, mel_bins, frames)
        embeddings = spectrogram_embeddings(deit, config, colours, positions)
        super().__init__(
            OrderedDict(
                fbank=KaldiFbank(sample_rate, frames, mel_bins, feature_mean, feature_std),
                backbone=Transformer(
                    SpectrogramTransformer(config, embeddings, deit.layers, deit.layernorm), frames
                ),
                pool=MeanOfTwoTokens(),
                layernorm=nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps),
                # behind a trained stage, as in ast.py
                dropout=nn.Dropout(dropout),
                classifier=linear(config.hidden_size, num_labels, config),
            )
        )
        self.architecture = pretrained.architecture

    @classmethod
    def _start(cls, checkpoint: str, initial_weights: str, trained: bool) -> Pretrained:
        if initial_weights == "checkpoint":
            return cls.classes.load(checkpoint, trained=trained)
        if checkpoint in PUBLISHED:
            width, heads = PUBLISHED[checkpoint]
            config = transformers.DeiTConfig(
                hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width
            )
        else:
            config = cls.classes.load(checkpoint, trained=False).backbone.config
        deit = transformers.DeiTModel(config, add_pooling_layer=False).eval()
        # transformers starts these at zero, where DeiT's authors draw them
        for name in ("cls_token", "distillation_token", "position_embeddings"):
            nn.init.trunc_normal_(getattr(deit.embeddings, name), std=config.initializer_range)
        return Pretrained(deit, SpectrogramExtractor())


class SpectrogramTransformer(NamedTuple):
    """The parts of an ASTModel, of which a DeiT's layers and layer norm serve as they are."""

    config: transformers.ASTConfig
    embeddings: nn.Module
    layers: nn.ModuleList
    layernorm: nn.LayerNorm


def spectrogram_config(
    deit: transformers.DeiTConfig, stride: int, mel_bins: int, frames: int
) -> transformers.ASTConfig:
    """An AST as deep and wide as a DeiT, for spectrograms of mel_bins x frames."""
    shared = [
        *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        *("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob"),
        *("initializer_range", "layer_norm_eps", "patch_size", "qkv_bias"),
    ]
    return transformers.ASTConfig(
        **{name: getattr(deit, name) for name in shared},
        frequency_stride=stride,
        time_stride=stride,
        num_mel_bins=mel_bins,
        max_length=frames,
    )


def spectrogram_embeddings(
    deit: transformers.DeiTModel,
    config: transformers.ASTConfig,
    colours: Literal["average", "sum"],
    positions: Literal["bilinear", "centre"],
) -> nn.Module:
    """ASTEmbeddings, (B, frames, mel_bins) -> (B, 2 + patches, hidden_size), made of a DeiT's.

    Only the patches' weights and the positions change; the two tokens keep theirs.
    """
    state = {name: tensor.detach() for name, tensor in deit.embeddings.state_dict().items()}
    kernel = state["patch_embeddings.projection.weight"].sum(dim=1, keepdim=True)
    state["patch_embeddings.projection.weight"] = (
        kernel if colours == "sum" else kernel / deit.config.num_channels
    )
    with torch.device("meta"):
        layerless = transformers.ASTConfig(**(config.to_dict() | {"num_hidden_layers": 0}))
        embeddings = transformers.ASTModel(layerless).embeddings
    tokens, grid = state["position_embeddings"].tensor_split([2], dim=1)
    side = deit.config.image_size // deit.config.patch_size
    grid = grid.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    grid = resized(grid, embeddings.get_shape(config), positions)
    state["position_embeddings"] = torch.cat([tokens, grid.flatten(2).transpose(1, 2)], dim=1)
    trained = deit.embeddings.cls_token.requires_grad
    embeddings.load_state_dict(state, assign=True)
    return embeddings.requires_grad_(trained)


def resized(
    grid: Tensor, size: tuple[int, int], positions: Literal["bilinear", "centre"]
) -> Tensor:
    """Positions (1, width, rows, columns) of another size."""
    if positions == "centre":
        for axis, wanted in zip((2, 3), size, strict=True):
            missing = max(0, grid.shape[axis] - wanted)
            grid = grid.narrow(axis, missing // 2, grid.shape[axis] - missing)
    if tuple(grid.shape[2:]) == tuple(size):
        return grid
    return nn.functional.interpolate(grid, size=size, mode="bilinear")
