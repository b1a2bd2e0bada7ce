"""What others wrote can be shown: it moves no cursor, turns no text around and runs no formula."""

import csv
import io
import os
from pathlib import Path

import click
import pytest
from rich.table import Table

from tune_audio.cli import Terminal, main
from tune_audio.errors import UserError
from tune_audio.escaping import as_csv, printable, printable_lines

HOSTILE = "a\x1b[2Jb\r\nc\x9b1md\u202egnp\u2028\x07"
SHOWN = r"a\x1b[2Jb\r\nc\x9b1md\u202egnp\u2028\x07"


def test_control_characters_and_marks_of_direction_are_escaped() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable_lines("x\ty\n\x1bz") == "x\\ty\n\\x1bz"


def test_what_people_write_with_stays() -> None:
    # Persian needs the zero-width non-joiner, an emoji of a family the joiner.
    for text in ("plain", "Ærøskøbing 日本語", "می‌شود", "👨‍👩‍👧", "a b", "back\\slash [red]"):
        assert printable(text) == text


def test_bytes_of_a_path_that_are_not_utf8() -> None:
    assert printable(os.fsdecode(b"caf\xe9.wav")) == r"caf\xe9.wav"
    assert printable("\ud800") == r"\ud800"  # of somebody's JSON


def test_no_text_cell_is_a_formula_and_numbers_stay_numbers() -> None:
    text = ["=cmd()", "+1", "-x.wav", "@here"]
    rows = [[*text, Path("-p"), -0.5, 1, None, "a=b", "", "a, b", "\r=1", "\t=1", "x\ny"]]
    (read,) = csv.reader(io.StringIO(as_csv(rows), newline=""))
    assert read[:5] == [f"'{cell}" for cell in (*text, "-p")]
    assert read[5:] == ["-0.5", "1", "", "a=b", "", "a, b", r"\r=1", r"\t=1", r"x\ny"]


def test_a_terminal_shows_text_as_it_is() -> None:
    console = Terminal(file=io.StringIO(), width=200, force_terminal=True)
    console.print(f"[red]x :dog: {HOSTILE}", highlight=False)
    table = Table(title="[bold]t")
    table.add_column("[red]y")
    table.add_row(HOSTILE.replace("\n", ""))
    console.print(table)
    shown = console.file.getvalue()
    assert "[red]x :dog:" in shown and "[red]y" in shown and "[bold]t" in shown
    assert "\x1b[2J" not in shown and "\u202e" not in shown and "\r" not in shown
    assert shown.count(r"a\x1b[2J") == 2


@pytest.mark.parametrize(
    "error", [UserError(f"--data: got {HOSTILE}"), ValueError(HOSTILE), click.UsageError(HOSTILE)]
)
def test_an_error_is_shown_escaped(error, monkeypatch, capsys) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["failing"])
    with pytest.raises(SystemExit):
        main(failing)
    shown = capsys.readouterr().err
    assert r"a\x1b[2Jb" in shown and r"\u202egnp" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)
