"""Balanced sampling and mixup: frequencies and shares."""

import numpy as np
import pytest
import torch

from tune_audio.training.mixing import mixup, sampling_weights


def test_rare_labels_are_drawn_as_often_as_common_ones() -> None:
    targets = torch.tensor([0] * 90 + [1] * 9 + [2])
    weights = sampling_weights(targets, 4)
    torch.manual_seed(0)
    drawn = targets[torch.multinomial(weights, 30_000, replacement=True)].bincount() / 30_000
    assert drawn.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)


def test_weights_of_several_labels_are_psla_s() -> None:
    targets = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 0.0]])
    common, rare = 1000 / 3.01, 1000 / 1.01
    expected = [common, common, common + rare, 0]
    assert sampling_weights(targets, 2).tolist() == pytest.approx(expected, rel=1e-5)
    assert sampling_weights(torch.zeros(3, 2), 2).tolist() == [1, 1, 1]


@pytest.mark.parametrize("several", [False, True])
def test_features_and_targets_are_mixed_alike(several: bool) -> None:
    labels = torch.arange(6)
    targets = torch.eye(6)[labels] if several else labels
    features = torch.eye(6).reshape(6, 3, 2)  # a clip's feature is its one-hot target
    mixed, shares = mixup(features, targets, 6, 0.5, np.random.default_rng(3))
    torch.testing.assert_close(mixed.reshape(6, 6), shares)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(6))
    share = np.random.default_rng(3).beta(0.5, 0.5)
    assert np.isclose(shares.diagonal(), share).sum() >= 4  # some clip may meet itself
    again, _ = mixup(features, targets, 6, 0.5, np.random.default_rng(3))
    assert torch.equal(mixed, again)


def test_shares_follow_the_beta_distribution() -> None:
    features, targets = torch.eye(2), torch.tensor([0, 1])
    shares = []
    for seed in range(2000):
        mixed, _ = mixup(features, targets, 2, 0.2, np.random.default_rng(seed))
        shares.append(mixed[0, 0].item())
    alone = np.mean(np.isclose(shares, 1))
    assert alone == pytest.approx(0.5, abs=0.1)  # of two clips every other order is the same
    inner = np.array(shares)[~np.isclose(shares, 1)]
    assert inner.var() == pytest.approx(0.25 / 1.4, rel=0.15)  # of Beta(a, a): 1 / (4 (2a + 1))
