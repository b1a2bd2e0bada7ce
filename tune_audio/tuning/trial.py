"""One configuration as Ray Tune runs it: a Learner, stepped an epoch at a time."""

import copy
import os
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.features.pipeline import Features
from tune_audio.features.store import FeatureStore
from tune_audio.models import build_model
from tune_audio.training.complexity import multiply_adds, parameter_counts
from tune_audio.training.folds import CrossValidation, assign_folds
from tune_audio.training.learner import DivergedError, Learner
from tune_audio.training.train_params import TrainParams
from tune_audio.tuning.final_test import final_test

CHECKPOINT = "checkpoint.pt"


class AudioTrial(tune.Trainable):
    """Trains one configuration; the next one reuses its process.

    config: what `study.configure` makes of a trial's record.
    job: what all trials of a run share, see `study.Job`.

    A result holds all epochs so far, so that one that was lost is made up by the next. After every
    epoch the state is saved in the trial's folder; whoever starts the same trial again, in this
    run or after a kill, goes on from there.
    """

    def setup(self, config: dict[str, Any], job: dict[str, Any]) -> None:
        self.job, self.corpus = job, None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.config, self.learner, self.epochs, self.best = new_config, None, [], None
        self.checkpoint = Path(new_config["folder"]) / CHECKPOINT
        return True

    def step(self) -> dict[str, Any]:
        error, extra, total = None, {}, self.job["epochs"]
        try:
            if self.learner is None:
                self._begin()
            if self.learner.epoch < total:
                self.epochs.append(self.learner.train_epoch())
                self._keep_best()
                self._save()
            if self.learner.epoch >= total:
                extra = self._end()
        except (DivergedError, UserError) as reason:
            error = str(reason)
        except torch.cuda.OutOfMemoryError:
            error = "out of GPU memory: try a smaller batch_size or resources: {gpus: 1}"
        except Exception as reason:  # a bug or a full disk ends this trial, not the search
            error = f"{type(reason).__name__}: {reason}"
            self.checkpoint.with_name("error.txt").write_text(traceback.format_exc())
        done = error is not None or len(self.epochs) >= total
        # Pairs, because Ray flattens the dicts of a result into its keys.
        pairs = list(extra.items())
        return {"epochs": list(self.epochs), "done": done, "error": error, "extra": pairs}

    def _begin(self) -> None:
        """Build the model and its learner; load what an earlier process left of this trial."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        if self.corpus is None:  # not in setup(), where Ray takes an error for a dead worker
            self.corpus = Corpus.open(Path(self.job["corpus"]))
            self.store = FeatureStore(Path(self.job["features"]), self.job["feature_bytes"])
        torch.set_num_threads(self.config["threads"])
        if self.job["folds"] is None:
            self.learner = self._learner()
        else:
            self.learner = CrossValidation(
                self._learner, assign_folds(self.corpus, self.job["folds"])
            )
        if self.checkpoint.exists():
            # It may have been written on a GPU that is not here; loading moves what it needs.
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            self.learner.load_state_dict(state["learner"])
            self.epochs, self.best = state["epochs"], state["best"]

    def _learner(self, fold: tuple[np.ndarray, int] | None = None) -> Learner:
        params = TrainParams(**self.config["train_params"])
        torch.manual_seed(params.seed)  # the first weights; every epoch has a seed of its own
        model = build_model(self.config["model"], *self.corpus.form, **self.config["model_params"])
        return Learner(
            model,
            partial(Features, self.corpus, store=self.store, fold=fold),
            params,
            epochs=self.job["epochs"],
            metric=self.job["metric"],
            device="cuda" if self.config["gpus"] else "cpu",
        )

    def _keep_best(self) -> None:
        """Keep the weights of the best epoch on validation, where a model is to come of it."""
        values = [row[self.job["metric"]] for row in self.epochs]
        if self.job["test"] and values[-1] == (max if self.job["maximize"] else min)(values):
            self.best = copy.deepcopy(self.learner.suffix.state_dict())

    def _save(self) -> None:
        state = {"learner": self.learner.state_dict(), "epochs": self.epochs, "best": self.best}
        temporary = self.checkpoint.with_suffix(".partial")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _end(self) -> dict[str, Any]:
        """What is to be known after the last epoch: sizes and all metrics, or the final test."""
        model = self.learner.model
        extra = parameter_counts(model)
        if self.job["test"]:
            extra["multiply_adds"] = multiply_adds(model, self.corpus.clip_samples)
            self.learner.suffix.load_state_dict(self.best)
            extra |= final_test(self.learner, self.corpus, self.config)
        else:
            scores = self.learner.validation_scores()
            extra |= {name: scores[name] for name in scores.keys() - self.epochs[-1].keys()}
        return extra
