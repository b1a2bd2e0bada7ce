"""A schedule takes no less than its work and its longest trial; stopping early what it may."""

from statistics import mean

import numpy as np
import optuna
import pytest

from tune_audio.costs.duration import Work, least_epochs, makespan
from tune_audio.costs.packing import Node
from tune_audio.space import Search
from tune_audio.tuning.samplers import make_pruner


def works(*seconds: float, **kwargs) -> list[Work]:
    return [Work("family", s, **kwargs) for s in seconds]


def test_one_after_another_on_one_cpu_and_beside_each_other_on_two():
    assert makespan(works(3, 4, 5), [Node(1)]) == 12
    assert makespan(works(3, 4, 5), [Node(2)]) == 8  # the third begins when the first ends
    assert makespan(works(3, 4, 5), [Node(1)] * 3) == 5
    assert makespan([], [Node(1)]) == 0


def test_a_schedule_is_never_shorter_than_its_work_or_its_longest_trial():
    draw = np.random.default_rng(0)
    for _ in range(50):
        trials = works(*draw.uniform(1, 10, 20))
        cpus = int(draw.integers(1, 9))
        seconds, total = makespan(trials, [Node(cpus)]), sum(w.seconds for w in trials)
        longest = max(w.seconds for w in trials)
        assert max(total / cpus, longest) - 1e-9 <= seconds <= total / cpus + longest


def test_shares_of_gpus_do_not_add_up_across_them():
    assert makespan(works(*[10] * 4, gpus=0.5), [Node(8, gpus=2)]) == 10
    assert makespan(works(*[10] * 3, gpus=0.6), [Node(8, gpus=2)]) == 20
    assert makespan(works(*[10] * 2, gpus=2), [Node(8, gpus=2)]) == 20


def test_what_waits_for_a_gpu_does_not_keep_others_waiting():
    trials = [*works(10, 10, gpus=1.0), *works(10, 10)]
    assert makespan(trials, [Node(3, gpus=1)]) == 20
    assert makespan(trials, [Node(1, gpus=1)]) == 40


def test_a_prefix_is_computed_once_a_machine():
    trials = works(1, 1, 1, 1, prefixes={"view": 10})
    assert makespan(trials, [Node(1)]) == 14
    assert makespan(trials, [Node(1)] * 2) == 12


def test_what_fits_nowhere_is_an_error_and_no_endless_loop():
    with pytest.raises(ValueError, match="family"):
        makespan(works(1, gpus=1.0), [Node(8)])


def simulated(search: Search, trials: int, epochs: int, seed: int) -> float:
    """Epochs a trial as Optuna's own pruner stops them, one after another, in no order."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner(search, epochs))
    quality, ran = np.random.default_rng(seed).permutation(trials), []
    for value in quality:
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(float(value), epoch)
            if trial.should_prune():
                break
        study.tell(trial, float(value))
        ran.append(epoch)
    return mean(ran)


@pytest.mark.parametrize(
    ("trials", "epochs", "grace", "factor"), [(18, 10, 3, 2), (54, 27, 1, 3), (9, 5, 1, 3)]
)
def test_the_epochs_that_asha_is_expected_to_run(trials, epochs, grace, factor):
    search = Search(scheduler="asha", grace_epochs=grace, reduction_factor=factor)
    expected = mean(simulated(search, trials, epochs, seed) for seed in range(40))
    assert least_epochs(search, trials, epochs) == pytest.approx(expected, rel=0.1)


def test_without_a_scheduler_every_epoch_is_run():
    assert least_epochs(Search(scheduler="none"), 18, 10) == 10
    assert least_epochs(Search(scheduler="asha", grace_epochs=20), 18, 10) == 10
    assert least_epochs(Search(scheduler="median", grace_epochs=2), 18, 10) == 6
