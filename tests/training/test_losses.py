"""Losses against their formulas, written out label by label."""

import math
import typing

import pytest
import torch
from torch import Tensor

from tune_audio.errors import UserError
from tune_audio.training.losses import LOSSES, make_loss, positive_weights
from tune_audio.training.train_params import TrainParams

LABELS = 4
TARGETS = torch.tensor([0, 3, 1, 1, 2])
ONE_HOT = torch.eye(LABELS)[TARGETS]
MULTI_HOT = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1.0], [0, 0, 0, 1]])


@pytest.fixture
def logits() -> Tensor:
    return 2 * torch.randn(5, LABELS, generator=torch.Generator().manual_seed(0))


def loss(name: str, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> float:
    return make_loss(name, targets, LABELS, smoothing)(logits, targets).item()


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def cells(logits: Tensor, targets: Tensor):
    """(logit, target) of every label of every clip."""
    return list(zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True))


def test_cross_entropy(logits: Tensor) -> None:
    shares = (logits.exp() / logits.exp().sum(1, keepdim=True)).tolist()
    expected = mean(-math.log(row[label]) for row, label in zip(shares, TARGETS, strict=True))
    assert loss("cross_entropy", logits, TARGETS) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mse_is_that_of_a_softmax_layer(logits: Tensor, smoothing: float) -> None:
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    wanted = {0.0: smoothing / LABELS, 1.0: 1 - smoothing + smoothing / LABELS}
    expected = mean((share - wanted[target]) ** 2 for share, target in cells(shares, ONE_HOT))
    assert loss("mse", logits, TARGETS, smoothing) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_bce(logits: Tensor, smoothing: float) -> None:
    def of_one(logit: float, target: float) -> float:
        target = target * (1 - smoothing) + smoothing / 2
        share = 1 / (1 + math.exp(-logit))
        return -target * math.log(share) - (1 - target) * math.log(1 - share)

    expected = mean(of_one(*cell) for cell in cells(logits, MULTI_HOT))
    assert loss("bce", logits, MULTI_HOT, smoothing) == pytest.approx(expected, rel=1e-5)


def test_rare_labels_weigh_more() -> None:
    # of five clips two, two, one and four have the label
    expected = [3 / 2, 3 / 2, 4, 1 / 4]
    assert positive_weights(MULTI_HOT, LABELS).tolist() == pytest.approx(expected)
    assert positive_weights(TARGETS, LABELS).tolist() == pytest.approx([4, 3 / 2, 4, 4])
    always_or_never = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert positive_weights(always_or_never, 2).tolist() == [1, 1]
    once_in_1000 = torch.zeros(1000, 1)
    once_in_1000[0] = 1
    assert positive_weights(once_in_1000, 1).tolist() == [100]


def test_weighted_bce_is_as_if_rare_clips_were_repeated(logits: Tensor) -> None:
    """A single label of weight 4: its one clip counts as four."""
    targets, logits = MULTI_HOT[:, 2:3], logits[:, 2:3]
    weighted = make_loss("bce_weighted", targets, 1)(logits, targets)
    repeats = torch.tensor([1, 1, 1, 4, 1])
    repeated = make_loss("bce", targets, 1)(
        logits.repeat_interleave(repeats, 0), targets.repeat_interleave(repeats, 0)
    )
    torch.testing.assert_close(weighted * 5, repeated * 8)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_and_one_hot_targets_are_the_same(
    name: str, smoothing: float, logits: Tensor
) -> None:
    function = make_loss(name, TARGETS, LABELS, smoothing)
    torch.testing.assert_close(function(logits, TARGETS), function(logits, ONE_HOT))


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_targets_pull_to_both_labels(name: str) -> None:
    function = make_loss(name, TARGETS, LABELS)
    mixed = torch.tensor([[0.7, 0.3, 0.0, 0.0]])
    logits = torch.zeros(1, LABELS, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        function(logits, mixed).backward()
        optimizer.step()
    first, second, *others = logits[0].tolist()
    assert first > second > max(others)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_for_several_labels_or_says_what_is(name: str, logits: Tensor) -> None:
    if LOSSES[name].multi_label:
        right = 20 * MULTI_HOT - 10
        assert loss(name, right, MULTI_HOT) < 0.01 < loss(name, -right, MULTI_HOT)
    else:
        with pytest.raises(UserError, match=f"got {name}, .*allowed: bce, bce_weighted"):
            make_loss(name, MULTI_HOT, LABELS)


def test_a_space_may_name_every_loss() -> None:
    named = typing.get_args(typing.get_type_hints(TrainParams)["loss"])
    assert set(named) == set(LOSSES)
