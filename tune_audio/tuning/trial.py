"""One configuration as Ray Tune runs it: a Learner, stepped an epoch at a time."""

import copy
import os
import traceback
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from ray import tune
from torch import Tensor

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.features.store import FeatureStore
from tune_audio.training.complexity import multiply_adds, parameter_counts
from tune_audio.training.folds import CrossValidation
from tune_audio.training.learner import DivergedError, Learner
from tune_audio.tuning.final_test import final_test
from tune_audio.tuning.learners import make_learner

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
        self.job = job
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.config = new_config
        self.learner: Learner | CrossValidation | None = None
        self.epochs: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] | None = None
        self.checkpoint = Path(new_config["folder"]) / CHECKPOINT
        return True

    # Not in setup(), where Ray takes an error for a dead worker.
    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.open(Path(self.job["corpus"]))

    @cached_property
    def store(self) -> FeatureStore:
        return FeatureStore(Path(self.job["features"]), self.job["feature_bytes"])

    def step(self) -> dict[str, Any]:
        error, extra, total = None, {}, self.job["epochs"]
        out_of_memory = False
        try:
            self.learner = learner = self.learner or self._begin()
            if learner.epoch < total:
                self.epochs.append(learner.train_epoch())
                self._keep_best(learner)
                self._save(learner)
            if learner.epoch >= total:
                extra = self._end(learner)
        except (DivergedError, UserError) as reason:
            error = str(reason)
        except torch.cuda.OutOfMemoryError:
            out_of_memory = True
            error = "out of GPU memory: try a smaller batch_size or resources: {gpus: 1}"
        except Exception as reason:  # a bug or a full disk ends this trial, not the search
            error = f"{type(reason).__name__}: {reason}"
            self.checkpoint.with_name("error.txt").write_text(traceback.format_exc())
        done = error is not None or len(self.epochs) >= total
        # Pairs, because Ray flattens the dicts of a result into its keys.
        pairs = list(extra.items())
        return {
            "epochs": list(self.epochs),
            "done": done,
            "error": error,
            "out_of_memory": out_of_memory,
            "extra": pairs,
        }

    def _begin(self) -> Learner | CrossValidation:
        """A learner with its model; what an earlier process left of this trial is loaded."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(self.config["threads"])
        learner = make_learner(self.corpus, self.store, self.config, self.job)
        if self.checkpoint.exists():
            # It may have been written on a GPU that is not here; loading moves what it needs.
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            learner.load_state_dict(state["learner"])
            self.epochs, self.best = state["epochs"], state["best"]
        return learner

    def _keep_best(self, learner: Learner | CrossValidation) -> None:
        """Keep the weights of the best epoch on validation, where a model is to come of it."""
        values = [row[self.job["metric"]] for row in self.epochs]
        if self.job["test"] and values[-1] == (max if self.job["maximize"] else min)(values):
            assert isinstance(learner, Learner)  # a retraining has no folds
            self.best = copy.deepcopy(learner.suffix.state_dict())

    def _save(self, learner: Learner | CrossValidation) -> None:
        state = {"learner": learner.state_dict(), "epochs": self.epochs, "best": self.best}
        temporary = self.checkpoint.with_suffix(".partial")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _end(self, learner: Learner | CrossValidation) -> dict[str, Any]:
        """What is to be known after the last epoch: sizes and all metrics, or the final test."""
        model = learner.model
        extra: dict[str, Any] = {**parameter_counts(model)}
        if self.job["test"]:
            assert isinstance(learner, Learner) and self.best is not None
            extra["multiply_adds"] = multiply_adds(model, self.corpus.clip_samples)
            learner.suffix.load_state_dict(self.best)
            extra |= final_test(learner, self.corpus, self.config)
        else:
            scores = learner.validation_scores()
            extra |= {name: scores[name] for name in scores.keys() - self.epochs[-1].keys()}
        return extra
