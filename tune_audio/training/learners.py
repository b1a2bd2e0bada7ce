"""From a trial's configuration to what trains it, with Ray or without."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from tune_audio.data.clips import SPLITS
from tune_audio.data.corpus import Corpus
from tune_audio.features.pipeline import Features
from tune_audio.features.store import FeatureStore
from tune_audio.models import build_model
from tune_audio.training.folds import CrossValidation, assign_folds
from tune_audio.training.learner import Learner
from tune_audio.training.train_params import TrainParams

NONE_VALIDATES = 1  # where every clip is in fold 0


def make_learner(
    corpus: Corpus, store: FeatureStore, config: Mapping[str, Any], job: Mapping[str, Any]
) -> Learner | CrossValidation:
    """A learner with its new model; where the search has folds, one that makes one for each.

    config: model, model_params, train_params and gpus, as `study.configure` makes them.
    job: epochs, metric, folds and train_on, as in `study.Job`.
    """

    def learner(fold: tuple[np.ndarray, int] | None = None) -> Learner:
        params = TrainParams(**config["train_params"])
        torch.manual_seed(params.seed)  # the first weights; every epoch has a seed of its own
        return Learner(
            build_model(config["model"], *corpus.form, **config["model_params"]),
            partial(Features, corpus, store=store, fold=fold),
            params,
            epochs=job["epochs"],
            metric=job["metric"],
            device="cuda" if config["gpus"] else "cpu",
        )

    if job.get("train_on") == "train+validation":
        everything = np.where(corpus.split == SPLITS.index("test"), -1, 0)
        return learner((everything, NONE_VALIDATES))
    if job["folds"] is None:
        return learner()
    return CrossValidation(learner, assign_folds(corpus, job["folds"]), job["epochs"])
