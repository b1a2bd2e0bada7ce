"""Thresholds: how sure a saved model has to be, tuned on validation without training it again.

python -m tune_audio.thresholds latest/lstm_cnn --data FOLDER
"""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from tune_audio.cli import (
    CONTEXT,
    debug_option,
    main,
    make_console,
)
from tune_audio.data.datasets.commands import LABELS, UNKNOWN
from tune_audio.data.datasets.silence import SILENCE
from tune_audio.data.load import load_corpus
from tune_audio.data.progress import tracking
from tune_audio.errors import UserError
from tune_audio.inference.classifier import BATCH, Classifier
from tune_audio.inference.find import find_model
from tune_audio.inference.thresholds import (
    FILE,
    REPORT_B,
    Thresholds,
    accuracy12,
    tune_thresholds,
    twelve,
)
from tune_audio.machine.folders import cache_folder, runs_folder
from tune_audio.machine.publish import publish_text
from tune_audio.space import load_space
from tune_audio.space.yaml_text import read_yaml

OFFICIAL = "official"
SPEECH = ("kaggle_speech", "speech_commands12", "speech_commands")


@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.option("--data", metavar="FOLDER", required=True, help="Speech Commands, or train.7z of it.")
@click.option(
    "--space",
    metavar="NAME|FILE",
    help="Whose data section says what is silence and unknown; default: kaggle_speech where there "
    "is FOLDER/train/audio, else speech_commands12.",
)
@debug_option
def thresholds(model: str, data: str, space: str | None) -> None:
    """Tune when MODEL's answer becomes unknown or silence, on the validation split.

    MODEL is a model's folder, or RUN/FAMILY. The two thresholds are written beside it, for
    tune_audio.predict. Nothing is trained.
    """
    console, folder = make_console(), find_model(runs_folder(), model)
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    classifier, root = Classifier(folder), Path(data).expanduser().absolute()
    classifier.require_commands("MODEL")
    say(f"Model  {classifier}")
    settings = _data_settings(root, space)
    probabilities, targets = _on_validation(classifier, root, settings)
    tuned = tune_thresholds(probabilities, classifier.labels, targets)
    rules = {"no rule": Thresholds(), "report B": REPORT_B, "tuned": tuned}
    table = Table(title=f"{len(targets):,} validation clips of {settings['name']}, twelve classes")
    for column in ("rule", "unknown below", "silence below", "val/accuracy"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    scores = {}
    for name, rule in rules.items():
        scores[name] = accuracy12(probabilities, classifier.labels, targets, rule)
        cells = [f"{t:.4f}" if t else "-" for t in (rule.unknown_below, rule.silence_below)]
        table.add_row(name, *cells, f"{scores[name]:.4f}")
    console.print(table)
    about = {"data": settings["name"], "clips": len(targets), "val/accuracy": scores}
    publish_text(folder / FILE, json.dumps(asdict(tuned) | about, indent=2) + "\n")
    say(f"Written to {folder / FILE}, which tune_audio.predict uses.")
    say("The last accuracy is that of the very clips that the thresholds were tuned on.")
    if _may_have_been_trained_on(folder, settings):
        say("The model's run was split otherwise: some of these clips may have trained it.")


def _data_settings(root: Path, space: str | None) -> dict[str, Any]:
    if space is None:
        kaggle = (root / "train" / "audio").is_dir()
        return {"name": "kaggle_speech" if kaggle else "speech_commands12"}
    settings = {key: value for key, value in load_space(space).data.items() if key != "root"}
    if settings["name"] not in SPEECH:
        raise UserError(
            f"--space: {space} is about data.name: {settings['name']}; thresholds are tuned on "
            f"{', '.join(SPEECH)}."
        )
    return settings


def _on_validation(
    classifier: Classifier, root: Path, settings: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, L) and true classes (n,) of the validation split."""
    rate = classifier.sample_rate
    form: dict[str, Any] = {"sample_rate": rate, "peak": classifier.peak}
    form["clip_seconds"] = classifier.clip_samples / rate
    corpus = load_corpus(root=root, cache=cache_folder(), progress=True, **settings | form)
    rows = corpus.rows("validation")
    classes = np.array([LABELS.index(label) for label in twelve(corpus.labels)])
    targets = classes[corpus.targets[rows]]
    for label in (SILENCE, UNKNOWN):
        if LABELS.index(label) not in targets:
            raise UserError(
                f"--space: {settings['name']} has no validation clips of {label} as it is set "
                "there; give a space that does, such as speech12, or none."
            )
    batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    with tracking(True) as track:
        probabilities = [
            classifier.probabilities(corpus.waveforms(batch))
            for batch in track(batches, "Listening", len(batches))
        ]
    return np.concatenate(probabilities), targets


def _may_have_been_trained_on(model_folder: Path, settings: dict[str, Any]) -> bool:
    """Whether the run that the model is of, if there is one, did not keep to the official split."""
    space = model_folder.absolute().parents[2] / "space.yaml"
    if not space.is_file():
        return False
    data = read_yaml(space.read_text(encoding="utf-8"), str(space))["data"]
    return any(given.get("split", OFFICIAL) != OFFICIAL for given in (data, settings))


if __name__ == "__main__":
    main(thresholds)
