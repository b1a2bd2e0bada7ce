"""Architectures, one file each: an nn.Sequential of stages, waveform in, logits out.

A class takes num_labels, clip_samples and sample_rate; what else it takes by keyword only are its
hyperparameters, tunable from a search space at once.
"""

import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, str] = {
    "wav2vec2": "tune_audio.models.wav2vec2:Wav2Vec2",
    "ast": "tune_audio.models.ast:AST",
    "lstm_cnn": "tune_audio.models.lstm_cnn:LSTMCNN",
    "lstm": "tune_audio.models.recurrent:LSTM",
    "gru": "tune_audio.models.recurrent:GRU",
    "convs2s": "tune_audio.models.convs2s:ConvS2S",
    "cnn_mel": "tune_audio.models.cnn_mel:CNNMel",
    "cnn_transformer_mel": "tune_audio.models.cnn_transformer_mel:CNNTransformerMel",
    "cnn_raw": "tune_audio.models.cnn_raw:CNNRaw",
    "cnn_transformer_raw": "tune_audio.models.cnn_transformer_raw:CNNTransformerRaw",
    "deit_ast": "tune_audio.models.deit_ast:DeiTAST",
    "conv_mixer": "tune_audio.models.mixer:ConvMixer",
    "mel_statistics": "tune_audio.models.mel_statistics:MelStatistics",
}


def build_model(
    name: str, num_labels: int, clip_samples: int, sample_rate: int, **keywords: Any
) -> "nn.Sequential":
    """A model of MODELS, imported now. Raises what it raises: UserError for what it cannot hear."""
    return pkgutil.resolve_name(MODELS[name])(num_labels, clip_samples, sample_rate, **keywords)
