"""Small checkpoints with random weights, as transformers saves them."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

import tune_audio.features._torchaudio  # noqa: F401


def tiny_wav2vec2(folder: Path, **changes: Any) -> str:
    torch.manual_seed(0)
    settings = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "conv_dim": (24,) * 7,
        "classifier_proj_size": 20,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "mask_time_prob": 0.2,
        "layerdrop": 0.0,
    }
    config = transformers.Wav2Vec2Config(**settings | changes)
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return str(folder)


def tiny_ast(folder: Path, max_length: int = 64) -> str:
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        num_mel_bins=64,
        max_length=max_length,
    )
    backbone = transformers.ASTModel(config)
    # transformers starts these from zero, which would hide a position in the wrong place
    nn.init.normal_(backbone.embeddings.position_embeddings)
    nn.init.normal_(backbone.embeddings.distillation_token)
    backbone.save_pretrained(folder)
    extractor = transformers.ASTFeatureExtractor(
        max_length=max_length, num_mel_bins=64, mean=-6.0, std=5.0
    )
    extractor.save_pretrained(folder)
    return str(folder)


def tiny_deit(folder: Path) -> str:
    """Images of 32 x 32 pixels in patches of 16."""
    torch.manual_seed(0)
    config = transformers.DeiTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=32,
        patch_size=16,
    )
    transformers.DeiTModel(config, add_pooling_layer=False).save_pretrained(folder)
    return str(folder)
