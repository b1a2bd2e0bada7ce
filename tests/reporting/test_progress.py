"""The display: calm and right on a terminal, plain anywhere else, and honest about the time."""

import io

import pytest
from rich.console import Console

from tune_audio.reporting.progress import Progress
from tune_audio.reporting.records import TrialRecord

METRIC = "val/accuracy"
EPOCHS = 4


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def trial(family, number, state="complete", value=0.9, epochs=2, lr=1e-3, epoch_seconds=5.0):
    rows = [{"epoch": n + 1, "epoch_seconds": epoch_seconds} for n in range(epochs)]
    return TrialRecord("search", family, number, {"lr": lr}, state, value, rows)


def plain(clock):
    console = Console(file=io.StringIO(), force_terminal=False)
    return Progress(METRIC, "maximize", EPOCHS, console=console, clock=clock), console.file


def terminal(clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={})
    return Progress(METRIC, "maximize", EPOCHS, console=console, clock=clock), console.file


def test_a_pipe_gets_a_line_every_thirty_seconds_and_no_control_characters():
    clock = Clock()
    progress, file = plain(clock)
    with progress:
        for clock.now in range(0, 61):
            progress.update([trial("cnn", 0, "running", lr=1e-3), trial("cnn", 1)], {"cnn": 4})
        lines = file.getvalue().splitlines()
        assert len(lines) == 2
    assert len(file.getvalue().splitlines()) == 3  # and one at the end
    assert "cnn 1/4 trials, 1 running (epoch 2), best val/accuracy 0.900" in lines[0]
    assert all(character.isprintable() or character == "\n" for character in file.getvalue())


def test_a_pipe_hears_of_each_finished_family_once():
    clock = Clock()
    progress, file = plain(clock)
    records = [trial("cnn", 0, lr=1e-2, value=0.5), trial("cnn", 1, "stopped", value=0.7)]
    progress.update(records[:1], {"cnn": 2, "lstm": 1})
    progress.update(records, {"cnn": 2, "lstm": 1})
    progress.update(records, {"cnn": 2, "lstm": 1})
    assert file.getvalue().splitlines() == [
        "cnn is done: 2/2 trials, 1 stopped, best val/accuracy 0.700 (lr 0.001)"
    ]


def test_a_terminal_gets_a_row_a_family():
    clock = Clock()
    progress, file = terminal(clock)
    with progress:
        progress.update(
            [
                trial("cnn", 0, value=0.958, lr=1e-3),
                trial("cnn", 1, "stopped", value=0.2, lr=1e-2),
                trial("cnn", 2, "failed", value=None, lr=1e-4),
                trial("ast", 0, "running", value=0.1, epochs=3),
                trial("ast", 1, "running", value=None, epochs=0),
            ],
            {"cnn": 18, "ast": 18, "[odd]": 1},
        )
    screen = file.getvalue()
    last = screen[screen.rindex("family") :]
    rows = {line.split()[0]: line for line in last.splitlines() if line.strip()}
    bare = {name: " ".join(row.split()) for name, row in rows.items()}
    assert "3/18" in bare[next(n for n in bare if "cnn" in n)]
    assert "0.958 (lr 0.001)" in last
    assert "2 (epochs 0–3)" in last  # noqa: RUF001
    assert "[odd]" in last and "—" in last
    assert "ETA —" in last


def test_a_terminal_is_redrawn_at_most_twice_a_second():
    progress, file = terminal(Clock())
    with progress:
        for _ in range(1000):
            progress.update([trial("cnn", 0)], {"cnn": 2})
    assert file.getvalue().count("family") <= 4


def test_eta_is_unknown_until_every_family_left_has_a_trial_that_tells():
    clock = Clock()
    progress, _ = plain(clock)
    totals = {"cnn": 2, "ast": 2}
    progress.update([], totals)
    assert progress.eta_seconds() is None
    clock.now = 10.0
    progress.update([trial("cnn", 0)], totals)
    assert progress.eta_seconds() is None
    ended = [trial("cnn", 0), trial("cnn", 1)]
    progress.update([*ended, trial("ast", 0, "running", epochs=1)], totals)
    assert progress.eta_seconds() is None  # its first epoch may have computed what others read
    progress.update([*ended, trial("ast", 0, "running", epochs=2)], totals)
    assert progress.eta_seconds() is not None


def test_eta_weighs_families_by_their_own_trials_and_the_pace_of_all():
    clock = Clock()
    progress, _ = plain(clock)
    totals = {"cnn": 3, "ast": 3}
    progress.update([], totals)
    clock.now = 55.0  # 110 trial seconds in 55: two trials run at a time
    progress.update([trial("cnn", 0), trial("ast", 0, epoch_seconds=50.0)], totals)
    assert progress.eta_seconds() == pytest.approx((2 * 10 + 2 * 100) / 2)


def test_eta_takes_the_pace_of_this_run_only_and_counts_what_running_trials_did():
    clock = Clock()
    progress, _ = plain(clock)
    before = [trial("cnn", number) for number in range(8)]
    progress.update(before, {"cnn": 10})
    assert progress.eta_seconds() is None  # resumed just now: no pace is known
    clock.now = 5.0
    progress.update([*before, trial("cnn", 8, "running", epochs=1)], {"cnn": 10})
    assert progress.eta_seconds() == pytest.approx(15.0)


def test_eta_before_any_trial_ended_is_of_whole_trials_at_the_last_epochs_pace():
    clock = Clock()
    progress, _ = plain(clock)
    progress.update([], {"cnn": 3})
    clock.now = 30.0
    slow_start = trial("cnn", 0, "running", epochs=3)
    slow_start.epochs[0]["epoch_seconds"] = 20.0  # 30 s so far, a last epoch of 5
    progress.update([slow_start], {"cnn": 3})
    assert progress.eta_seconds() == pytest.approx(3 * 35 - 30)


def test_eta_of_a_finished_search_is_zero():
    progress, _ = plain(Clock())
    progress.update([trial("cnn", 0), trial("cnn", 1, "failed")], {"cnn": 2})
    assert progress.eta_seconds() == 0.0


@pytest.mark.parametrize("make", [plain, terminal])
def test_names_of_families_are_shown_as_they_are(make):
    progress, file = make(Clock())
    with progress:
        progress.update([trial("[red]a\x1b[2J\r", 0)], {"[red]a\x1b[2J\r": 1})
    assert r"[red]a\x1b[2J\r" in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()
