"""What wav2vec2, ast and deit_ast share: dropout before the classifier, and a shortest clip."""

import pkgutil
from pathlib import Path
from typing import Any

import pytest
import torch
from make_audio import RATE
from make_checkpoints import tiny_ast, tiny_deit, tiny_wav2vec2
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.prefix import split_model
from tune_audio.models import MODELS

CHECKPOINTS = {"wav2vec2": tiny_wav2vec2, "ast": tiny_ast, "deit_ast": tiny_deit}
HEADS = {
    "wav2vec2": {"projector.weight", "projector.bias", "classifier.weight", "classifier.bias"},
    "ast": {"layernorm.weight", "layernorm.bias", "classifier.weight", "classifier.bias"},
    "deit_ast": {"layernorm.weight", "layernorm.bias", "classifier.weight", "classifier.bias"},
}
LABELS, SAMPLES = 4, 8000
LEAST = 400  # samples: a window of the filter bank, or what wav2vec2's convolutions see at once
LEAST_MASKED = 400 + 9 * 320  # ten frames, a mask of wav2vec2


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: make(folder / name) for name, make in CHECKPOINTS.items()}


@pytest.fixture
def clips() -> Tensor:
    return 0.1 * torch.randn(8, SAMPLES, generator=torch.Generator().manual_seed(0))


def make(name: str, checkpoint: str, samples: int = SAMPLES, **params: Any) -> nn.Sequential:
    torch.manual_seed(1)
    params = {"freeze": "backbone"} | params
    model_class = pkgutil.resolve_name(MODELS[name])
    return model_class(LABELS, samples, RATE, checkpoint=checkpoint, **params)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_dropout_acts_in_training_beside_a_frozen_backbone(name, checkpoints, clips) -> None:
    prefix, suffix = split_model(make(name, checkpoints[name], dropout=0.5))
    features, seen = prefix(clips), []
    suffix.classifier.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    suffix.eval()(features), suffix(features), suffix.train()(features), suffix(features)
    whole, again, dropped, otherwise = seen
    assert torch.equal(whole, again)
    assert not torch.equal(dropped, otherwise)
    kept = dropped != 0
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_without_dropout_a_head_is_what_it_was(name, checkpoints, clips) -> None:
    """So that older runs go on, and older models load, with the very same numbers."""
    prefix, suffix = split_model(make(name, checkpoints[name]))
    assert set(suffix.state_dict()) == HEADS[name]
    features, random_state = prefix(clips), torch.get_rng_state()
    trained = suffix.train()(features)
    assert torch.equal(torch.get_rng_state(), random_state)
    without = nn.Sequential(*(stage for key, stage in suffix.named_children() if key != "dropout"))
    assert torch.equal(trained, without(features))
    other = split_model(make(name, checkpoints[name], dropout=0.5))[1]
    assert set(other.state_dict()) == HEADS[name]
    assert all(torch.equal(p, other.get_parameter(key)) for key, p in suffix.named_parameters())


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_shortest_clip_is_heard_and_a_shorter_one_told(name, checkpoints) -> None:
    logits = make(name, checkpoints[name], LEAST).eval()(0.1 * torch.randn(2, LEAST))
    assert logits.isfinite().all()
    message = rf"data\.clip_seconds: got 0\.0249375; {name} needs at least 0\.025$"
    with pytest.raises(UserError, match=message):
        make(name, checkpoints[name], LEAST - 1)


@pytest.mark.parametrize("freeze", ["feature_encoder", "none"])
def test_a_trained_wav2vec2_needs_room_for_its_masks(freeze, checkpoints, tmp_path: Path) -> None:
    def train(checkpoint: str, samples: int) -> None:
        model = make("wav2vec2", checkpoint, samples, freeze=freeze).train()
        assert model(0.1 * torch.randn(2, samples)).isfinite().all()

    train(checkpoints["wav2vec2"], LEAST_MASKED)
    with pytest.raises(UserError, match=r"masks of 10 frames needs at least 0\.205; .*0\.025$"):
        train(checkpoints["wav2vec2"], LEAST_MASKED - 1)
    make("wav2vec2", checkpoints["wav2vec2"], LEAST_MASKED - 1)
    train(tiny_wav2vec2(tmp_path / "unmasked", mask_time_prob=0.0), LEAST)
    train(tiny_wav2vec2(tmp_path / "off", apply_spec_augment=False), LEAST)
