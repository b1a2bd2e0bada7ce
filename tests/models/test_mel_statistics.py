"""The baseline: what it computes once for all, and that an odd clip does not end it."""

import torch

from tune_audio.features.prefix import split_model
from tune_audio.models.mel_statistics import MelStatistics, Statistics


def test_mean_deviation_and_maximum_over_time():
    features = torch.tensor([[[1.0, 3.0, 5.0], [0.0, 0.0, 6.0]]])
    expected = torch.tensor([[3.0, 2.0, (8 / 3) ** 0.5, 8**0.5, 5.0, 6.0]])
    torch.testing.assert_close(Statistics()(features), expected)


def test_all_but_the_linear_layer_is_computed_once():
    prefix, suffix = split_model(MelStatistics(3, 8000, 16_000))
    assert [name for name, _ in prefix.named_children()] == ["log_mel", "statistics"]
    assert [name for name, _ in suffix.named_children()] == ["head"]


def test_a_batch_of_one_clip_trains_and_changes_no_statistics():
    model = MelStatistics(3, 8000, 16_000).train()
    clips = torch.randn(4, 8000, generator=torch.Generator().manual_seed(0))
    model(clips)
    before = model.head[0].running_mean.clone()
    loss = model(clips[:1]).logsumexp(-1).sum()
    loss.backward()
    assert torch.equal(model.head[0].running_mean, before)
    assert torch.isfinite(model.head[1].weight.grad).all()
