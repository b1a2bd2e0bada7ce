"""Tables must say what the records say: report A's figures go in, report A's tables come out."""

import csv
import io
import itertools
import os

import pytest
from rich.console import Console
from ruamel.yaml import YAML

from tune_audio.reporting import files, tables
from tune_audio.reporting.markdown import note
from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.values import format_value

METRIC = "val/accuracy"
LRS, BATCHES, AUGMENTS = (1e-2, 1e-3, 1e-4), (32, 64), ("none", "noise", "time_mask")


def trial(family, number, value, state="complete", params=None, epochs=2, study="search", **extra):
    rows = [{"epoch": n + 1, METRIC: value, "epoch_seconds": 1.25} for n in range(epochs)]
    return TrialRecord(study, family, number, params or {}, state, value, rows, extra)


def grid(family, best, **fixed):
    """Report A's 18 trials of a family, `best` at lr 0.001, batch 64 and noise, else less."""
    records = []
    for number, (lr, batch, augment) in enumerate(itertools.product(LRS, BATCHES, AUGMENTS)):
        top = (lr, batch, augment) == (1e-3, 64, "noise")
        params = {**fixed, "augment": augment, "batch_size": batch, "lr": lr}
        records.append(trial(family, number, best if top else 0.5 + number / 1000, params=params))
    return records


def ranking(records, metric=METRIC, direction="maximize"):
    return Ranking(records, metric, direction)


def text(table):
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def rows(table):
    """The table's cells, without markup, by column."""
    lines = [line for line in text(table).splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def columns(table):
    return [str(column.header) for column in table.columns]


def test_ranked_by_direction_then_by_trial_number():
    records = [trial("a", 2, 0.5), trial("a", 1, 0.5), trial("b", 0, 0.9)]
    assert [r.key for r in ranking(records, direction="maximize").order] == ["b-0", "a-1", "a-2"]
    assert [r.key for r in ranking(records, direction="minimize").order] == ["a-1", "a-2", "b-0"]


def test_failed_and_not_finite_values_are_not_ranked():
    records = [
        trial("a", 0, float("nan")),
        trial("a", 1, float("inf")),
        trial("a", 2, None, state="waiting"),
        trial("a", 3, 0.99, state="failed"),
        trial("a", 4, 0.1, state="stopped"),
    ]
    assert [record.key for record in ranking(records, direction="maximize").order] == ["a-4"]
    assert ranking(records).best["a"].number == 4


def test_varying_leaves_out_what_is_fixed_within_each_family():
    records = grid("ast", 0.888, checkpoint="x") + grid("cnn", 0.895, checkpoint="y", heads=1)
    assert ranking(records).varying == {
        "lr": [1e-4, 1e-3, 1e-2],
        "batch_size": [32, 64],
        "augment": ["none", "noise", "time_mask"],
    }


def test_leaderboard_shows_the_top_and_the_best_of_every_family():
    records = grid("wav2vec2", 0.958) + grid("lstm_cnn", 0.895)
    records += [trial("ast", 0, 0.1, state="stopped", params={"lr": 1e-3}, epochs=1)]
    table = tables.leaderboard(ranking(records), top=3)
    assert columns(table) == [
        "rank", "family", "lr", "batch_size", "augment", METRIC, "epochs", "seconds", "state"
    ]  # fmt: skip
    assert rows(table) == [
        ["1", "wav2vec2", "0.001", "64", "noise", "0.958", "2", "2.5", "complete"],
        ["2", "lstm_cnn", "0.001", "64", "noise", "0.895", "2", "2.5", "complete"],
        ["3", "lstm_cnn", "0.0001", "64", "time_mask", "0.517", "2", "2.5", "complete"],
        ["37", "ast", "0.001", "—", "—", "0.100", "1", "1.2", "stopped early"],
    ]


def test_failed_trials_are_counted_below_with_their_reason():
    records = [trial("a", n, None, state="failed", error="loss [nan/] at 1\nTrace") for n in (0, 3)]
    shown = text(tables.leaderboard(ranking(records)))
    assert "2 failed (a-0, a-3): loss [nan/] at 1" in shown
    assert "Trace" not in shown


def test_names_are_shown_as_they_are():
    name, value = "[red]a\x1b[2J", "[/]=b\u202e|c"
    records = [
        trial(name, n, 0.5, params={"checkpoint": of}, test_accuracy=0.5)
        for n, of in enumerate((value, "other"))
    ]
    shown = ranking(records)
    made = [tables.leaderboard(shown), tables.best_by(shown, "checkpoint")]
    made.append(tables.retrain_table(shown, records[:1]))
    for table in made:
        assert "[red]a\\x1b[2J" in text(table) and "[/]=b\\u202e|c" in text(table)
    assert "[/]=b\\u202e\\|c" in note(shown, records[:1])


def test_no_cell_of_the_leaderboard_is_a_formula(tmp_path):
    records = [trial("a", 0, -0.5, params={"checkpoint": "=cmd()", "lr": -1.0}, error="@x\ny")]
    files.write_leaderboard(tmp_path / "x.csv", ranking(records))
    (row,) = csv.DictReader((tmp_path / "x.csv").open())
    assert (row["checkpoint"], row["error"]) == ("'=cmd()", r"'@x\ny")
    assert (row["lr"], row[METRIC]) == ("-1.0", "-0.5")


def test_best_by_is_report_a_table_4_2():
    records = grid("wav2vec2", 0.958) + grid("lstm_cnn", 0.895)[:6]
    table = tables.best_by(ranking(records), "lr")
    assert columns(table) == ["family", "0.0001", "0.001", "0.01"]
    assert rows(table) == [
        ["wav2vec2", "0.517", "0.958", "0.505"],
        ["lstm_cnn", "—", "—", "0.505"],
    ]


def test_best_by_takes_the_smallest_where_less_is_better():
    records = [trial("a", n, v, params={"lr": 1e-3}) for n, v in enumerate((0.3, 0.2, 0.4))]
    assert rows(tables.best_by(ranking(records, "val/loss", "minimize"), "lr")) == [["a", "0.200"]]


def test_best_by_tables_stand_in_the_reports_order_and_leave_out_ranges():
    records = [
        trial("a", n, 0.5, params={"dropout": n / 10, "heads": n % 2, "augment": n % 3, "lr": n})
        for n in range(9)
    ]
    assert list(tables.best_by_tables(ranking(records))) == ["augment", "heads"]


def test_retrain_table_has_mean_and_sd_of_repeats_and_dashes():
    search = grid("wav2vec2", 0.958) + grid("lstm_cnn", 0.895)
    best = {"augment": "noise", "batch_size": 64, "lr": 1e-3}
    again = [
        trial("lstm_cnn", n, value, params={**best, "seed": n}, study="retrain",
              trainable_parameters=36_522, frozen_parameters=0, **{"test/accuracy": test})
        for n, (value, test) in enumerate(((0.80, 0.70), (0.82, 0.80)))
    ]  # fmt: skip
    table = tables.retrain_table(ranking(search), again)
    assert columns(table) == [
        "family", "search", "lr", "batch_size", "augment", "retrain", "test/accuracy",
        "trainable", "frozen", "seconds",
    ]  # fmt: skip
    assert rows(table) == [
        ["wav2vec2", "0.958", "0.001", "64", "noise", "—", "—", "—", "—", "—"],
        ["lstm_cnn", "0.895", "0.001", "64", "noise", "0.810 ± 0.014", "0.750 ± 0.071",
         "36,522", "0", "2.5"],
    ]  # fmt: skip


def test_retrain_table_has_a_row_a_configuration_with_what_the_search_said_of_it():
    search = grid("cnn", 0.9)
    top = ranking(search, direction="maximize").order[:2]
    again = [
        trial("cnn", n, 0.5, params=record.params, study="retrain") for n, record in enumerate(top)
    ]
    shown = rows(tables.retrain_table(ranking(search), again))
    assert [row[:5] for row in shown] == [
        ["cnn", "0.900", "0.001", "64", "noise"],
        ["cnn", "0.517", "0.0001", "64", "time_mask"],
    ]


def test_leaderboard_csv_has_every_trial_and_every_parameter_in_full(tmp_path):
    path = tmp_path / "new folder" / "leaderboard.csv"
    records = [
        trial("a", 0, 0.123456789, params={"lr": 1e-5, "augment": ["noise", "time_mask"]}),
        trial("b", 0, None, state="failed", params={"heads": 2}, epochs=0, error="a, b"),
        trial("a", 1, 0.5, state="running", params={"lr": 1e-4, "augment": "none"}),
    ]
    files.write_leaderboard(path, ranking(records))
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["trial"] for row in found] == ["a-1", "a-0", "b-0"]
    assert [row["rank"] for row in found] == ["1", "2", ""]
    assert float(found[1][METRIC]) == 0.123456789 and float(found[1]["lr"]) == 1e-5
    assert found[1]["augment"] == '["noise", "time_mask"]'
    assert found[2]["heads"] == "2" and found[2]["error"] == "a, b" and found[2][METRIC] == ""


def test_the_csv_has_the_metrics_measured_at_a_trial_s_end(tmp_path):
    extra = {"val/f1_macro": 0.75, "trainable_parameters": 9}
    records = [trial("a", 0, 0.5, **extra), trial("a", 1, 0.4, state="stopped")]
    files.write_leaderboard(tmp_path / "l.csv", ranking(records))
    with (tmp_path / "l.csv").open(newline="") as file:
        assert [row["val/f1_macro"] for row in csv.DictReader(file)] == ["0.75", ""]


def test_best_yaml_reads_back_the_same(tmp_path):
    path = tmp_path / "best.yaml"
    params = {"lr": 1e-5, "augment": "no", "freeze": None, "sizes": [1, 2], "bias": True}
    records = [trial("a", 0, 0.25, params=params), trial("b", 0, 0.75, params={"lr": 0.1})]
    files.write_best(path, ranking([*records, trial("b", 1, None, state="failed")]))
    read = YAML(typ="safe", pure=True).load(path)
    assert list(read) == ["b", "a"]
    assert read["a"] == {METRIC: 0.25, "trial": "a-0", "params": params}
    assert "val/accuracy (maximize)" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("write", [files.write_leaderboard, files.write_best])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, write):
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, ranking([trial("a", 0, 0.5)]))
    assert path.read_text() == "old"


def test_the_note_is_markdown_of_the_same_tables():
    search = grid("cnn", 0.9)
    again = [trial("cnn", 0, 0.8, params=search[0].params, study="retrain")]
    failed = [trial("ast", 0, None, state="failed", params={"lr": 0.1}, error="[lost|]")]
    text = note(ranking([*search, *failed]), again)
    assert text.startswith("**Leaderboard by val/accuracy**\n\n| rank | family | lr |")
    assert "| 1 | cnn | 0.001 | 64 | noise | 0.900 | 2 | 2.5 | complete |" in text
    assert "1 failed (ast-0): [lost\\|]" in text
    assert "**Best configurations by val/accuracy and their retraining**" in text
    assert all(line.startswith("|") == line.endswith("|") for line in text.splitlines())


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.001, "0.001"), (1e-5, "1e-05"), (None, "none"), (32, "32"), ("noise", "noise")],
)
def test_values_are_shown_as_people_write_them(value, shown):
    assert format_value(value) == shown
