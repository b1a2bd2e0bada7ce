"""Multiply-adds against the closed formulas of each kind of layer."""

import pytest
import torch
from make_audio import RATE
from make_checkpoints import tiny_ast
from torch import Tensor, nn

from tune_audio.features.spectrograms import LogMel
from tune_audio.models.ast import AST
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.training.complexity import multiply_adds


class Outputs(nn.Module):
    """What a recurrence or attention returns first."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(*[x] * (3 if isinstance(self.network, nn.MultiheadAttention) else 1))[0]


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


FRAMES = nn.Unflatten(1, (20, 8))  # of a clip of 160 samples
LAYERS = {
    "linear": (nn.Sequential(FRAMES, nn.Linear(8, 5)), 20 * 8 * 5),
    "convolution": (
        nn.Sequential(nn.Unflatten(1, (8, 20)), nn.Conv1d(8, 6, 3, padding=1)),
        20 * 8 * 6 * 3,
    ),
    "depthwise": (
        nn.Sequential(nn.Unflatten(1, (8, 20)), nn.Conv1d(8, 8, 3, groups=8)),
        18 * 8 * 3,
    ),
    "lstm": (nn.Sequential(FRAMES, Outputs(nn.LSTM(8, 7, batch_first=True))), 20 * 4 * 7 * (8 + 7)),
    "two-way lstm": (
        nn.Sequential(FRAMES, Outputs(nn.LSTM(8, 7, bidirectional=True, batch_first=True))),
        2 * 20 * 4 * 7 * (8 + 7),
    ),
    "gru": (nn.Sequential(FRAMES, Outputs(nn.GRU(8, 7, batch_first=True))), 20 * 3 * 7 * (8 + 7)),
    "attention": (nn.Sequential(nn.Unflatten(1, (2, 20, 4)), Attention()), 2 * 2 * 20 * 20 * 4),
    "multi-head attention": (
        nn.Sequential(FRAMES, Outputs(nn.MultiheadAttention(8, 2, batch_first=True))),
        4 * 20 * 8 * 8 + 2 * 20 * 20 * 8,
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_cost_what_their_formulas_say(layer):
    model, expected = LAYERS[layer]
    assert multiply_adds(model, 160) == expected


def test_log_mel_costs_its_filters_alone():
    assert multiply_adds(nn.Sequential(LogMel(RATE, 40)), 16_000) == 101 * 257 * 40


def test_of_a_clip_twice_as_long_an_lstm_cnn_does_twice_the_work():
    model = LSTMCNN(4, 16_000, RATE)
    assert multiply_adds(model, 32_000) == pytest.approx(2 * multiply_adds(model, 16_000), rel=0.01)


def test_frozen_stages_count_and_the_model_stays_as_it_is(tmp_path):
    models = {
        freeze: AST(4, 16_000, RATE, checkpoint=tiny_ast(tmp_path), freeze=freeze)
        for freeze in ("backbone", "none")
    }
    assert multiply_adds(models["backbone"], 16_000) == multiply_adds(models["none"], 16_000)
    model = models["none"].train()
    model.backbone.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    multiply_adds(model, 16_000)
    assert model.training and not model.backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
