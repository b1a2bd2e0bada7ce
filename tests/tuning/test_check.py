"""What would fail in the middle of a search is found before it: of every choice, not of one."""

from dataclasses import replace

import numpy as np
import pytest
from make_checkpoints import tiny_ast

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.space import SearchSpace
from tune_audio.tuning.check import check_models


def space(search: dict | None = None, **family: object) -> SearchSpace:
    return SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 1},
            "search": search or {"sampler": "grid", "metric": "val/loss"},
            "models": {"mine": {"model": "lstm_cnn"} | family},
        }
    )


@pytest.fixture
def several(tone_corpus: Corpus) -> Corpus:
    """The tones as a data set in which a clip may have several labels."""
    hot = np.eye(len(tone_corpus.labels), dtype=np.float32)[tone_corpus.targets]
    return replace(tone_corpus, targets=hot, multi_label=True)


@pytest.mark.parametrize("choices", [["bce", "cross_entropy"], ["cross_entropy", "bce"]])
@pytest.mark.parametrize("search", [None, {"sampler": "random", "trials": 2, "metric": "val/loss"}])
def test_every_choice_is_tried(several: Corpus, choices: list[str], search: dict | None) -> None:
    with pytest.raises(UserError, match=r"models\.mine: loss: got cross_entropy") as told:
        check_models(space(search, loss=choices, lr=[1e-3, 1e-2]), several)
    assert "\n" not in told.value.message
    check_models(space(search, loss="bce"), several)


@pytest.mark.parametrize("model", ["lstm_cnn", "lstm", "convs2s"])
def test_clips_too_short_for_a_model(tone_corpus: Corpus, model: str) -> None:
    short = replace(tone_corpus, clip_samples=100)
    with pytest.raises(
        UserError, match=r"models\.mine: .*data\.clip_seconds: got 0\.00625"
    ) as told:
        check_models(space(model=model), short)
    assert "\n" not in told.value.message


def test_a_rate_for_a_backbone_that_is_frozen(tone_corpus: Corpus, tmp_path) -> None:
    frozen = {"model": "ast", "checkpoint": str(tiny_ast(tmp_path)), "max_length": 48}
    with pytest.raises(
        UserError, match=r"models\.mine: backbone_lr: got 0\.001, but only the head"
    ):
        check_models(space(**frozen, freeze=["none", "backbone"], backbone_lr=1e-3), tone_corpus)
    trained = {"backbone_lr": {"low": 1e-4, "high": 1e-3, "log": True, "when": {"freeze": "none"}}}
    random = {"sampler": "random", "trials": 2}
    check_models(space(random, **frozen, freeze=["none", "backbone"], **trained), tone_corpus)
