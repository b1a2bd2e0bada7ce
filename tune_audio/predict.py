"""Predict: a saved model and some audio -> labels.

python -m tune_audio.predict latest/lstm_cnn recording.wav FOLDER
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from rich.table import Column, Table
from rich.text import Text

from tune_audio.cli import (
    CONTEXT,
    debug_option,
    main,
    make_console,
)
from tune_audio.data.audio_file import audio_files
from tune_audio.data.datasets.commands import UNKNOWN
from tune_audio.data.datasets.kaggle_speech import submission_clips
from tune_audio.data.datasets.silence import SILENCE
from tune_audio.data.loud import told
from tune_audio.data.progress import say, tracking
from tune_audio.errors import UserError
from tune_audio.escaping import as_csv, printable
from tune_audio.inference.classifier import Classifier
from tune_audio.inference.find import find_model
from tune_audio.inference.recordings import predict_files
from tune_audio.inference.thresholds import Thresholds, twelve
from tune_audio.machine.folders import runs_folder
from tune_audio.machine.publish import publish_text

PATH = click.Path(path_type=Path)
SHOWN = 40  # rows on a terminal; --output has all
SEVERAL = "|"  # between labels of one recording, as in a retrained model's predictions.csv
LIKELY = 0.5  # labels of a multi-label model above this are given


class Answer(NamedTuple):
    """What is said of one recording, as text; several labels have `|` between them.

    Where the thresholds changed the label, the probability is that of the one it had been, which
    is the runner-up then; else that is the likeliest of those not given.
    """

    label: str
    probability: str
    runner_up: str
    runner_up_probability: str


def find_audio(given: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Files, and the audio in folders and below, each once; and (path, reason) of the others."""
    found: dict[Path, None] = {}
    bad = []
    for path in given:
        if not path.is_dir():
            found[path] = None
            continue
        try:
            files = audio_files(path)
            found |= dict.fromkeys(files)
            bad += [] if files else [(path, "has no audio files")]
        except OSError as error:
            bad.append((path, f"cannot be read: {error.strerror}"))
    return list(found), bad


def answers(
    labels: Sequence[str], probabilities: np.ndarray, rule: Thresholds, *, multi_label: bool = False
) -> list[Answer]:
    """An answer for each row of probabilities (n, L).

    The likeliest label, or what the rule makes of it; of a multi-label model all above LIKELY.
    """
    said = []
    for row in probabilities:
        ranked = [(labels[column], row[column]) for column in np.argsort(-row, kind="stable")]
        if multi_label:
            count = int((row > LIKELY).sum())
            given, others = ranked[:count], ranked[count:]
        else:
            best, score = ranked[0]
            given = [(*rule.apply([best], np.array([score])), score)]
            others = ranked[1:] if given[0][0] == best else ranked
        names = SEVERAL.join(label for label, _ in given)
        scores = SEVERAL.join(f"{score:.4f}" for _, score in given)
        second = (others[0][0], f"{others[0][1]:.4f}") if others else ("", "")
        said.append(Answer(names, scores, *second))
    return said


def as_table(paths: Sequence[Path], said: Sequence[Answer]) -> str:
    """file,label,probability,runner_up,runner_up_probability as CSV."""
    rows = [(path, *answer) for path, answer in zip(paths, said, strict=True)]
    return as_csv([["file", *Answer._fields], *rows])


def as_submission(paths: Sequence[Path], labels: Sequence[str]) -> str:
    """fname,label as Kaggle takes it: sorted by fname, one of the challenge's twelve labels each.

    A word that is none of the ten commands becomes "unknown".
    """
    rows = zip([path.name for path in paths], twelve(labels), strict=True)
    return "".join(f"{fname},{label}\n" for fname, label in [("fname", "label"), *sorted(rows)])


@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.argument("audio", nargs=-1, required=True, type=PATH)
@click.option("--output", metavar="FILE", type=PATH, help="Write a CSV file.")
@click.option(
    "--kaggle",
    metavar="FILE",
    type=PATH,
    help="Write a submission; AUDIO is the folder of the TensorFlow Speech Recognition Challenge.",
)
@click.option(
    "--unknown-below",
    type=click.FloatRange(0, 1),
    help="Best score below which a label becomes unknown; 0: never. Default: as tuned by "
    "tune_audio.thresholds, else never. Report B: 0.5.",
)
@click.option(
    "--silence-below",
    type=click.FloatRange(0, 1),
    help="The same for silence, which goes before unknown. Report B: 0.3.",
)
@debug_option
def predict(
    model: str,
    audio: tuple[Path, ...],
    output: Path | None,
    kaggle: Path | None,
    unknown_below: float | None,
    silence_below: float | None,
) -> int:
    """Say what is heard in AUDIO: files, or folders and all below.

    MODEL is a model's folder, or RUN/FAMILY: latest/lstm_cnn. A table on a terminal, else CSV. Of
    what is longer than the model's clips, windows are averaged. Exit code 2 if no file is usable.
    """
    _check_files(audio, output, kaggle)
    paths, bad = find_audio(audio) if kaggle is None else (submission_clips(audio[0]), [])
    classifier = Classifier(find_model(runs_folder(), model))
    given = {"unknown_below": unknown_below, "silence_below": silence_below}
    rule = _rule(classifier, {name: t for name, t in given.items() if t is not None})
    if kaggle is not None:
        classifier.require_commands("--kaggle")
        if SILENCE not in classifier.labels and not rule.silence_below:
            say("Silence is never said: give --silence-below, or use tune_audio.thresholds.")
    with tracking(sys.stderr.isatty() and len(paths) > SHOWN) as track:
        heard, probabilities, unreadable, loud = predict_files(classifier, paths, track)
    said = answers(classifier.labels, probabilities, rule, multi_label=classifier.multi_label)
    bad += unreadable
    if heard and kaggle is not None:
        clips = [*heard, *(path for path, _ in bad)]
        labels = [*(answer.label for answer in said), *(UNKNOWN for _ in bad)]
        _write(kaggle, as_submission(clips, labels), len(clips))
    elif heard and output is not None:
        _write(output, as_table(heard, said), len(said))
    elif heard:
        _show(heard, said)
    if loud:
        say(told(loud, classifier.peak))
    for path, reason in bad:
        say(f"Not used: {printable(path)} {reason}")
    if bad and heard and kaggle is not None:
        say(f"In the submission they are unknown, for Kaggle wants a line for each: {len(bad)}.")
    return 0 if heard else 2


def _check_files(audio: Sequence[Path], output: Path | None, kaggle: Path | None) -> None:
    """Raises UserError before the work for what would fail after it."""
    if kaggle is not None and (output is not None or len(audio) > 1):
        raise UserError("--kaggle: give one folder, the challenge's, and no --output.")
    for option, file in (("--output", output), ("--kaggle", kaggle)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise UserError(f"{option}: got {file}; must be a file in a folder that exists.")


def _rule(classifier: Classifier, given: dict[str, float]) -> Thresholds:
    """The thresholds given, else those stored with the model; it and they are told."""
    say(f"Model  {classifier}")
    stored = Thresholds.read(classifier.folder)
    rule = replace(stored, **given)
    if rule == Thresholds():
        return rule
    if classifier.multi_label:
        raise UserError("--unknown-below, --silence-below: for models that give one label a clip.")
    source = "as given" if given else "as tuned: thresholds.json"
    limits = f"unknown below {rule.unknown_below:.4g}, silence below {rule.silence_below:.4g}"
    say(f"Rule   {limits} ({source})")
    return rule


def _write(file: Path, text: str, count: int) -> None:
    try:
        publish_text(file.absolute(), text)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror}.") from None
    say(f"{count:,} recordings written to {file}")


def _show(paths: Sequence[Path], said: Sequence[Answer]) -> None:
    """A table on a terminal, CSV into a pipe."""
    console = make_console()
    if not console.is_terminal:
        click.echo(as_table(paths, said), nl=False)
        return
    table = Table(Column("file", overflow="fold"), "label", "probability", "runner-up", "")
    for path, answer in list(zip(paths, said, strict=True))[:SHOWN]:
        table.add_row(*(Text(cell) for cell in (printable(path), *answer)))
    console.print(table)
    if len(paths) > SHOWN:
        counts = Counter(answer.label for answer in said).most_common()
        tally = ", ".join(f"{label or 'none'} {count:,}" for label, count in counts)
        say(f"{SHOWN} of {len(paths):,} recordings; --output FILE writes all. In all: {tally}")


if __name__ == "__main__":
    main(predict)
