"""The pretrained models are transformers' own, and a checkpoint is whole or refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from make_audio import RATE
from make_checkpoints import tiny_ast, tiny_wav2vec2
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.prefix import split_model
from tune_audio.models.ast import AST, with_frames
from tune_audio.models.wav2vec2 import Wav2Vec2, numpy_seeded_by_torch

LABELS, SAMPLES = 4, 16_000


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Where a tiny checkpoint of each is."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        "wav2vec2": {"checkpoint": tiny_wav2vec2(folder / "wav2vec2")},
        "ast": {"checkpoint": tiny_ast(folder / "ast")},
    }


@pytest.fixture(scope="module")
def clips() -> Tensor:
    return 0.1 * torch.randn(8, SAMPLES, generator=torch.Generator().manual_seed(0))


def first(model: nn.Sequential, stages: int) -> nn.Sequential:
    return nn.Sequential(*list(model)[:stages]).eval()


GROUP = {"feat_extract_norm": "group"}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


@pytest.mark.parametrize("variant", [GROUP, LAYER])
def test_wav2vec2_is_that_of_transformers(variant: dict, tmp_path: Path, clips: Tensor) -> None:
    checkpoint = tiny_wav2vec2(tmp_path, **variant)
    model = Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=checkpoint).eval()
    theirs = transformers.Wav2Vec2ForSequenceClassification.from_pretrained(
        tmp_path, num_labels=LABELS
    ).eval()
    theirs.projector.load_state_dict(model.projector.state_dict())
    theirs.classifier.load_state_dict(model.classifier.state_dict())
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)
    inputs = extractor(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(inputs["input_values"]).logits
        torch.testing.assert_close(model(clips), expected, atol=1e-5, rtol=1e-5)


def test_wav2vec2_normalises_only_where_its_extractor_did(tmp_path: Path) -> None:
    checkpoint = tiny_wav2vec2(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    model = Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=checkpoint)
    assert next(iter(dict(model.named_children()))) == "feature_encoder"


def test_wav2vec2_trains_what_freeze_says(params: dict) -> None:
    trained = {}
    for freeze in ("backbone", "feature_encoder", "none"):
        model = Wav2Vec2(LABELS, SAMPLES, RATE, **params["wav2vec2"], freeze=freeze)
        trained[freeze] = [*dict(split_model(model)[1].named_children())]
        assert not hasattr(model, "backbone")
    head = ["projector", "dropout", "classifier"]
    assert trained == {
        "backbone": head,
        "feature_encoder": ["context", "pool", *head],
        "none": ["feature_encoder", "context", "pool", *head],
    }


def test_spec_augment_only_where_the_transformer_is_trained(params: dict, clips: Tensor) -> None:
    for freeze, masked in (("backbone", False), ("none", True)):
        model = Wav2Vec2(LABELS, SAMPLES, RATE, **params["wav2vec2"], freeze=freeze)
        context = model.context.train()
        for module in context.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if type(module).__name__ == "Wav2Vec2Attention":
                module.dropout = 0.0
        features = first(model, 2)(clips).detach()
        with torch.no_grad():
            same = torch.equal(context(features.clone()), context(features.clone()))
        assert same != masked


def test_masks_follow_torchs_random_state() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with numpy_seeded_by_torch():
            draws.append(np.random.rand())
    assert draws[0] == draws[1] != draws[2]


def test_ast_is_that_of_transformers(tmp_path: Path, clips: Tensor) -> None:
    checkpoint = tiny_ast(tmp_path)
    model = AST(LABELS, SAMPLES, RATE, checkpoint=checkpoint).eval()
    theirs = transformers.ASTForAudioClassification.from_pretrained(tmp_path, num_labels=LABELS)
    theirs.eval().classifier.layernorm.load_state_dict(model.layernorm.state_dict())
    theirs.classifier.dense.load_state_dict(model.classifier.state_dict())
    extractor = transformers.ASTFeatureExtractor.from_pretrained(tmp_path)
    inputs = extractor(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(inputs["input_values"]).logits
        torch.testing.assert_close(model(clips), expected, atol=1e-5, rtol=1e-5)


def test_ast_loads_the_names_of_published_weights(tmp_path: Path, clips: Tensor) -> None:
    """Weights saved by transformers 4 call their layers encoder.layer.0.attention.attention..."""
    checkpoint = tiny_ast(tmp_path)
    expected = AST(LABELS, SAMPLES, RATE, checkpoint=checkpoint)
    expected = first(expected, 3)(clips)
    old = tmp_path / "old"
    tiny_ast(old)
    renames = {
        "attention.q_proj": "attention.attention.query",
        "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value",
        "attention.o_proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    state = {}
    for key, tensor in transformers.ASTModel.from_pretrained(tmp_path).state_dict().items():
        for new, published in renames.items():
            key = key.replace(new, published)
        key = key.replace("layers.", "encoder.layer.")
        state[f"audio_spectrogram_transformer.{key}"] = tensor
    state["classifier.dense.bias"] = torch.zeros(527)
    save_file(state, old / "model.safetensors", metadata={"format": "pt"})
    published = AST(LABELS, SAMPLES, RATE, checkpoint=str(old))
    torch.testing.assert_close(first(published, 3)(clips), expected)


@pytest.mark.parametrize("frames", [16, 40, 64, 100])
def test_ast_takes_another_length(frames: int, params: dict, clips: Tensor) -> None:
    model = AST(LABELS, SAMPLES, RATE, **params["ast"], max_length=frames)
    times = (frames - 16) // 10 + 1
    assert model.fbank(clips).shape == (8, frames, 64)
    assert first(model, 2)(clips).shape == (8, 2 + 5 * times, 32)


def test_fewer_frames_keep_the_middle_positions_and_more_keep_the_ends(params: dict) -> None:
    embeddings = AST.classes.load(params["ast"]["checkpoint"], trained=False).backbone.embeddings
    own = embeddings.position_embeddings[0, 2:].unflatten(0, (5, 5))  # frequencies, times
    assert with_frames(embeddings, 64) is embeddings
    fewer = with_frames(embeddings, 44).position_embeddings
    assert torch.equal(fewer[0, 2:].unflatten(0, (5, 3)), own[:, 1:4])
    more = with_frames(embeddings, 104).position_embeddings
    torch.testing.assert_close(more[0, 2:].unflatten(0, (5, 9))[:, [0, 4, 8]], own[:, [0, 2, 4]])
    for resized in (fewer, more):
        assert torch.equal(resized[:, :2], embeddings.position_embeddings[:, :2])
        assert not resized.requires_grad


def test_a_frozen_backbone_is_shared_and_a_trained_one_is_not(params: dict) -> None:
    frozen = [AST(LABELS, SAMPLES, RATE, **params["ast"]) for _ in range(2)]
    trained = AST(LABELS, SAMPLES, RATE, **params["ast"], freeze="none")
    assert frozen[0].backbone.layers is frozen[1].backbone.layers
    weights = {p.data_ptr() for p in trained.parameters()}
    assert weights.isdisjoint(p.data_ptr() for p in frozen[0].parameters())
    assert not any(p.requires_grad for p in frozen[0].backbone.parameters())
    assert all(p.requires_grad for p in trained.parameters())


def test_the_first_trial_of_a_process_is_like_the_second(tmp_path: Path) -> None:
    heads = []
    checkpoint = tiny_ast(tmp_path)
    for _ in range(2):
        torch.manual_seed(3)
        heads.append(AST(LABELS, SAMPLES, RATE, checkpoint=checkpoint).classifier.weight)
    assert torch.equal(*heads)


def test_a_checkpoint_that_cannot_be_had_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="hf download nobody/nothing --local-dir FOLDER") as raised:
        Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint="nobody/nothing")
    assert "--checkpoint FAMILY=FOLDER" in raised.value.message
    assert "\n" not in raised.value.message
    with pytest.raises(UserError, match="no such folder; must be"):
        Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=str(tmp_path / "absent"))


def test_a_wrong_checkpoint_is_never_a_random_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="audio-spectrogram-transformer; must be wav"):
        Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=tiny_ast(tmp_path / "ast"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        AST(LABELS, SAMPLES, RATE, checkpoint=str(empty))
    for name, damage in DAMAGES.items():
        folder = Path(tiny_ast(tmp_path / name))
        damage(folder)
        with pytest.raises(UserError) as raised:
            AST(LABELS, SAMPLES, RATE, checkpoint=str(folder))
        assert str(folder) in raised.value.message
        assert "\n" not in raised.value.message


def _lose_a_weight(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state.pop("layernorm.weight")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def _cut_a_weight(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["layernorm.weight"] = state["layernorm.weight"][:8].clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def _truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


DAMAGES = {
    "no_weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no_extractor": lambda folder: (folder / "preprocessor_config.json").unlink(),
    "lost": _lose_a_weight,
    "cut": _cut_a_weight,
    "truncated": _truncate,
}


class Hostile:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_a_checkpoint_runs_no_code_of_its_own(tmp_path: Path) -> None:
    checkpoint, trap = tiny_wav2vec2(tmp_path / "checkpoint"), tmp_path / "trap"
    weights, file = Path(checkpoint) / "model.safetensors", Path(checkpoint) / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"attn_implementation": "somebody/kernel"}))
    with pytest.raises(UserError, match="attn_implementation is somebody/kernel"):
        Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=checkpoint)
    file.write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(UserError, match="checkpoint"):
        Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=checkpoint)
    file.write_text(json.dumps(config))
    torch.save(load_file(weights) | {"more": Hostile(trap)}, weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(UserError, match="Weights only load failed"):
        Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=checkpoint)
    assert not trap.exists()


def test_weights_without_a_mask_vector_load(tmp_path: Path) -> None:
    checkpoint = tiny_wav2vec2(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state.pop("masked_spec_embed")
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = Wav2Vec2(LABELS, SAMPLES, RATE, checkpoint=checkpoint, freeze="none")
    assert not model.context.masked_spec_embed.any()
