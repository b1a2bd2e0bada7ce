"""What every model in MODELS keeps."""

import copy
import inspect
import pkgutil
from typing import Any

import pytest
import torch
from make_audio import RATE
from make_checkpoints import tiny_ast, tiny_deit, tiny_wav2vec2
from pydantic import TypeAdapter
from torch import Tensor, nn

from tune_audio.features.prefix import fingerprint, split_model
from tune_audio.models import MODELS, build_model

LABELS, SAMPLES = 4, 16_000
FROM_THE_WAVEFORM = {"cnn_raw", "cnn_transformer_raw"}  # all of their stages are trained


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Keyword arguments that make a model small; the others are as small as they come."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        "wav2vec2": {"checkpoint": tiny_wav2vec2(folder / "wav2vec2")},
        "ast": {"checkpoint": tiny_ast(folder / "ast")},
        "deit_ast": {"checkpoint": tiny_deit(folder / "deit"), "stride": 16},
        "cnn_raw": {"dropout": 0.0, "activation": "relu"},
        # as it learns, not as report E has it: see its docstring
        "cnn_transformer_raw": {
            "tokens": "time",
            "activation": "relu",
            "positions": "sinusoidal",
            "norm_first": True,
            "dropout": 0.0,
            "encoder_dropout": 0.0,
            "feedforward": 64,
        },
        "conv_mixer": {"width": 32, "depth": 2},
        "convs2s": {"width": 32, "num_layers": 2},
        "lstm": {"hidden_size": 32},
        "gru": {"hidden_size": 32},
    }


@pytest.fixture(scope="module")
def clips() -> Tensor:
    """Eight tones a semitone or more apart in noise, (8, SAMPLES)."""
    hertz = 300 * 2 ** (torch.arange(8) / 2)
    tones = torch.sin(2 * torch.pi * hertz[:, None] * torch.arange(SAMPLES) / 16_000)
    noise = torch.randn(8, SAMPLES, generator=torch.Generator().manual_seed(0))
    return 0.3 * tones + 0.01 * noise


def make(
    name: str, params: dict[str, dict[str, Any]], samples: int = SAMPLES, **changes: Any
) -> nn.Sequential:
    torch.manual_seed(1)
    return build_model(name, LABELS, samples, RATE, **params.get(name, {}) | changes)


def with_freeze(name: str, freeze: str) -> dict[str, str]:
    keywords = inspect.signature(pkgutil.resolve_name(MODELS[name])).parameters
    return {"freeze": freeze} if "freeze" in keywords else {}


@pytest.mark.parametrize("name", MODELS)
def test_waveform_in_logits_out(name: str, params: dict, clips: Tensor) -> None:
    model = make(name, params).eval()
    with torch.no_grad():
        logits = model(clips)
        assert logits.shape == (8, LABELS)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(model(clips[2:3]), logits[2:3], atol=1e-4, rtol=1e-4)
        assert model(torch.zeros(2, SAMPLES)).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_keywords_have_types_that_accept_their_defaults(name: str) -> None:
    signature = inspect.signature(pkgutil.resolve_name(MODELS[name]), eval_str=True)
    assert list(signature.parameters)[:2] == ["num_labels", "clip_samples"]
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            TypeAdapter(parameter.annotation).validate_python(parameter.default, strict=True)


@pytest.mark.parametrize("freeze", ["backbone", "none"])
@pytest.mark.parametrize("name", MODELS)
def test_gradient_reaches_every_trained_parameter(
    name: str, freeze: str, params: dict, clips: Tensor
) -> None:
    model = make(name, params, **with_freeze(name, freeze))
    prefix, suffix = split_model(model)
    assert not any(p.requires_grad for p in prefix.parameters())
    torch.manual_seed(0)
    logits = suffix.train()(prefix(clips))
    nn.functional.cross_entropy(logits, torch.arange(8) % LABELS).backward()
    trained = {name: p for name, p in suffix.named_parameters() if p.requires_grad}
    assert trained
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", MODELS)
def test_trains_on_a_last_batch_of_one_clip(name: str, params: dict, clips: Tensor) -> None:
    prefix, suffix = split_model(make(name, params, **with_freeze(name, "none")))
    assert suffix.train()(prefix(clips[:1])).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_overfits_eight_clips(name: str, params: dict, clips: Tensor) -> None:
    # A quarter of a second is enough for what would else convolve every sample of a second.
    samples = SAMPLES // 4 if name in FROM_THE_WAVEFORM else SAMPLES
    model = make(name, params, samples, **with_freeze(name, "none"))
    targets = torch.tensor([0, 1, 2, 3, 1, 0, 3, 2])
    prefix, suffix = split_model(model)
    with torch.no_grad():
        features = prefix(clips[:, :samples])
    optimizer = torch.optim.Adam(suffix.parameters(), lr=3e-3)
    for _ in range(100):
        suffix.train()
        loss = nn.functional.cross_entropy(suffix(features), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.1 and (suffix.eval()(features).argmax(-1) == targets).all():
            return
    pytest.fail(f"loss {loss:.3f} after 100 steps")


@pytest.mark.parametrize("name", MODELS)
def test_prefix_is_deterministic_and_told_by_its_fingerprint(
    name: str, params: dict, clips: Tensor
) -> None:
    prefix, _ = split_model(make(name, params).train())
    again, _ = split_model(make(name, params).train())
    assert [*map(fingerprint, prefix)] == [*map(fingerprint, again)]
    with torch.no_grad():
        first, second = prefix(clips), again(clips)
    assert first.shape[0] == 8
    assert torch.equal(first, second)
    assert " at 0x" not in repr(prefix)


@pytest.mark.parametrize("name", MODELS)
def test_another_number_anywhere_in_the_prefix_is_another_fingerprint(
    name: str, params: dict
) -> None:
    """Weights and buffers alike, those of a filter bank that is not saved among them."""
    prefix, _ = split_model(make(name, params, **with_freeze(name, "backbone")))
    assert (len(prefix) == 0) == (name in FROM_THE_WAVEFORM)
    before = {stage: fingerprint(module) for stage, module in prefix.named_children()}
    for key in numbers(prefix):
        changed = copy.deepcopy(prefix)
        tensor = numbers(changed)[key]
        tensor[(-1,) * tensor.ndim] += 1
        after = {stage: fingerprint(module) for stage, module in changed.named_children()}
        assert [stage for stage in before if after[stage] != before[stage]] == [key.split(".")[0]]
    assert bool(numbers(prefix)) == (name not in FROM_THE_WAVEFORM)


def numbers(module: nn.Module) -> dict[str, Tensor]:
    return {key: t.detach() for key, t in [*module.named_parameters(), *module.named_buffers()]}
