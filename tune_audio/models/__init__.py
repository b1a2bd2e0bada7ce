"""Architectures, one file each: an nn.Sequential of stages, waveform in, logits out.

A class's keyword-only parameters are its hyperparameters, tunable from a search space at once.
"""

MODELS: dict[str, str] = {
    "wav2vec2": "tune_audio.models.wav2vec2:Wav2Vec2",
    "ast": "tune_audio.models.ast:AST",
    "lstm_cnn": "tune_audio.models.lstm_cnn:LSTMCNN",
}
