"""Where a model is cut: before what is trained, and before its head."""

from collections import OrderedDict

import pytest
from make_checkpoints import tiny_ast, tiny_wav2vec2
from torch import nn

from tune_audio.features import LogMel
from tune_audio.models.ast import AST
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.models.wav2vec2 import Wav2Vec2
from tune_audio.pipeline import split_head, split_model


def stages_of(model: nn.Sequential, parameters: list[nn.Parameter]) -> set[str]:
    """The stages that hold these parameters."""
    wanted = set(map(id, parameters))
    return {
        name for name, stage in model.named_children() if wanted & set(map(id, stage.parameters()))
    }


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("none", {"feature_encoder", "context"}),
        ("feature_encoder", {"context"}),
        ("backbone", set()),
    ],
)
def test_the_head_of_wav2vec2_is_projector_and_classifier(freeze, trained, tmp_path):
    model = Wav2Vec2(4, 16_000, checkpoint=tiny_wav2vec2(tmp_path), freeze=freeze)
    backbone, head = split_head(split_model(model)[1])
    assert stages_of(model, backbone) == trained
    assert stages_of(model, head) == {"projector", "classifier"}


@pytest.mark.parametrize(("freeze", "trained"), [("none", {"backbone"}), ("backbone", set())])
def test_the_head_of_ast_is_layer_norm_and_classifier(freeze, trained, tmp_path):
    model = AST(4, 16_000, checkpoint=tiny_ast(tmp_path), freeze=freeze)
    backbone, head = split_head(split_model(model)[1])
    assert stages_of(model, backbone) == trained
    assert stages_of(model, head) == {"layernorm", "classifier"}


def test_backbone_and_head_are_all_that_is_trained_each_once():
    model = LSTMCNN(4, 16_000)
    suffix = split_model(model)[1]
    backbone, head = split_head(suffix)
    assert sorted(map(id, backbone + head)) == sorted(map(id, suffix.parameters()))
    assert stages_of(model, head) == {"layernorm", "classifier"}


def test_the_last_stage_is_head_whatever_it_is_made_of():
    perceptron = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    stages = OrderedDict(log_mel=LogMel(8), lstm=nn.LSTM(8, 8), head=perceptron)
    backbone, head = split_head(split_model(nn.Sequential(stages))[1])
    assert len(head) == 4
    assert len(backbone) == 4
