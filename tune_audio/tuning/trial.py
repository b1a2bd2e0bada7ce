"""One configuration as Ray Tune runs it: a Learner, stepped an epoch at a time."""

import copy
import os
import socket
import traceback
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from ray import tune
from torch import Tensor

from tune_audio.data.corpus import Corpus
from tune_audio.errors import SurroundingsError, UserError
from tune_audio.features.store import FeatureStore
from tune_audio.machine.watchdog import Watchdog
from tune_audio.training.complexity import milliseconds, multiply_adds, parameter_counts
from tune_audio.training.folds import CrossValidation
from tune_audio.training.kept import FILE as PREDICTIONS
from tune_audio.training.kept import Kept
from tune_audio.training.learner import DivergedError, Learner
from tune_audio.training.learners import make_learner
from tune_audio.tuning.final_test import MODEL, final_test
from tune_audio.tuning.hosts import find_home

CHECKPOINT = "checkpoint.pt"
HANGING = "hanging.txt"  # where a trial stood still: Python's tracebacks


class AudioTrial(tune.Trainable):
    """Trains one configuration; the next one reuses its process.

    config: what `study.configure` makes of a trial's record.
    job: what all trials of a run share, see `study.Job`.

    A result holds all epochs so far, so that one that was lost is made up by the next. After every
    epoch the state is saved in the trial's folder; whoever starts the same trial again, in this
    run, on another host or after a kill, goes on from there.
    """

    def setup(self, config: dict[str, Any], job: dict[str, Any]) -> None:
        self.job, self.home, self.host = job, find_home(job), socket.gethostname()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.home.leave()
        self.config = new_config
        self.learner: Learner | CrossValidation | None = None
        self.epochs: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] | None = None
        self.kept = Kept(self.job["metric"], maximize=self.job["maximize"])
        self.folder: Path | None = None  # this host's, once the trial has begun
        return True

    def cleanup(self) -> None:
        self.home.leave()

    # Not in setup(), where Ray takes an error for a dead worker.
    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.open(self.home.corpus())

    @cached_property
    def store(self) -> FeatureStore:
        return self.home.store()

    def step(self) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        error = trouble = None  # the configuration's fault, or that of what surrounds it
        out_of_memory = False
        try:
            extra = self._advance()
        except (OSError, SurroundingsError) as reason:
            trouble = " ".join(f"{type(reason).__name__}: {reason}".split())
        except (DivergedError, UserError) as reason:
            error = str(reason)
        except torch.cuda.OutOfMemoryError:
            out_of_memory = True
            error = "out of GPU memory: try a smaller batch_size or resources: {gpus: 1}"
        except Exception as reason:  # a bug ends this trial, not the search
            error = f"{type(reason).__name__}: {reason}"
            self._leave_traceback()
        done = bool(error or trouble) or len(self.epochs) >= self.total
        # Pairs, because Ray flattens the dicts of a result into its keys.
        why = {"error": error, "trouble": trouble, "out_of_memory": out_of_memory}
        told = {"done": done, "extra": list(extra.items()), "host": self.host, **why}
        return {"epochs": list(self.epochs), **told}

    def _advance(self) -> dict[str, Any]:
        """Train an epoch; what is to be known of the trial, if that was the last."""
        self.learner = learner = self.learner or self._begin()
        assert self.folder is not None
        watchdog = Watchdog(self.config["patience_seconds"], self.folder / HANGING)
        if learner.epoch < self.total:
            with watchdog:
                row = learner.train_epoch()
            self.epochs.append(row | {"host": self.host})
            self._keep_best(learner)
            self._save(learner)
        with watchdog:
            return self._end(learner) if learner.epoch >= self.total else {}

    @property
    def total(self) -> int:
        """The epochs of all folds; of a retraining those that its configuration asks for."""
        epochs: int = self.config["params"].get("epochs", self.job["epochs"])
        return epochs * (self.job["folds"] or 1)

    def _leave_traceback(self) -> None:
        if self.folder is not None:
            (self.folder / "error.txt").write_text(traceback.format_exc())
            self.home.finished()

    def _begin(self) -> Learner | CrossValidation:
        """A learner with its model; what an earlier process left of this trial is loaded."""
        self.folder = self.home.enter(self.config["folder"])
        checkpoint = self.folder / CHECKPOINT
        torch.set_num_threads(self.config["threads"])
        config = {**self.config, "model_params": self.home.brought(self.config["model_params"])}
        learner = make_learner(self.corpus, self.store, config, self.job)
        if checkpoint.exists():
            # It may have been written on a GPU that is not here; loading moves what it needs.
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            learner.load_state_dict(state["learner"])
            self.epochs, self.best = state["epochs"], state["best"]
            if "kept" in state:
                self.kept.load_state_dict(state["kept"])
            else:  # of an earlier version
                self.kept.give_up()
        return learner

    def _keep_best(self, learner: Learner | CrossValidation) -> None:
        """Keep what the best epoch says of validation, and its weights for a model to come."""
        assert self.folder is not None
        if learner.validation is None:
            return  # nothing validates: the last epoch it is
        if not self.kept.add(self.epochs, learner.validation):
            return
        self.kept.write(self.epochs, self.folder)
        if self.job["test"]:
            assert isinstance(learner, Learner)  # a retraining has no folds
            self.best = copy.deepcopy(learner.suffix.state_dict())

    def _save(self, learner: Learner | CrossValidation) -> None:
        state = {"learner": learner.state_dict(), "epochs": self.epochs, "best": self.best}
        state["kept"] = self.kept.state_dict()
        assert self.folder is not None
        checkpoint, partial = self.folder / CHECKPOINT, self.folder / f".{CHECKPOINT}.partial"
        try:
            with open(partial, "wb") as file:  # torch's own writing hides why it failed
                torch.save(state, file)
        except OSError as error:
            raise OSError(f"{checkpoint} cannot be written: {error.strerror}") from error
        os.replace(partial, checkpoint)
        self.home.saved(checkpoint)

    def _end(self, learner: Learner | CrossValidation) -> dict[str, Any]:
        """What is to be known after the last epoch: sizes and all metrics, or the final test."""
        model = learner.model
        extra: dict[str, Any] = {**parameter_counts(model)}
        if self.job["test"]:
            assert isinstance(learner, Learner)
            extra["multiply_adds"] = multiply_adds(model, self.corpus.clip_samples)
            if self.best is not None:
                learner.suffix.load_state_dict(self.best)
            assert self.folder is not None
            extra["ms_per_clip"] = milliseconds(model, self.corpus.clip_samples)
            extra |= final_test(learner, self.corpus, self.config, self.folder, self.job["metric"])
            (self.folder / CHECKPOINT).unlink(missing_ok=True)
            self.home.finished()
            extra["model_folder"] = str(Path(self.config["folder"]) / MODEL)
        else:
            assert self.folder is not None
            self.home.keep(self.folder / PREDICTIONS)
            scores = learner.validation_scores()
            extra |= {name: scores[name] for name in scores.keys() - self.epochs[-1].keys()}
        return extra
