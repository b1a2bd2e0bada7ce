"""Ray Tune's loop in this process: a worker a run takes longer to start than small trials take.

Trials on a real Ray are in test_study.py and test_end_to_end.py.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ray.tune import RunConfig, TuneConfig
from ray.tune.search import Searcher

from tune_audio.tuning import gpus, study
from tune_audio.tuning.cluster import Slots
from tune_audio.tuning.trial import AudioTrial


class OneAfterAnother:
    """What `study.run` needs of a ray.tune.Tuner."""

    def __init__(self, job: dict, tune_config: TuneConfig, run_config: RunConfig) -> None:
        self.job, self.searcher = job, tune_config.search_alg

    def fit(self) -> None:
        while (config := self.searcher.suggest("trial")) != Searcher.FINISHED:
            trial, result = AudioTrial.__new__(AudioTrial), {"done": False}
            trial.setup(config, self.job)
            while not result["done"]:
                result = trial.step()
            self.searcher.on_trial_complete("trial", result)


def run_in_this_process(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Have `study.run` run trials here, by `patch(object, name, value)`."""
    patch(study, "start_ray", lambda: False)
    patch(study, "check_needs", lambda needs, may_grow: None)
    patch(study, "serve", lambda written, read: nullcontext())
    patch(Slots, "of", lambda slots, need: 1)
    patch(gpus, "machines", lambda: [{"CPU": 1}])
    patch(study.ray, "cluster_resources", lambda: {"CPU": 1})
    patch(study.tune, "with_parameters", lambda trainable, job: job)
    patch(study.tune, "with_resources", lambda trainable, resources: trainable)
    patch(study.tune, "Tuner", OneAfterAnother)
