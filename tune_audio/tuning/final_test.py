"""The end of a retraining: the model is tested once, and saved with what it was tested on."""

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.escaping import as_csv
from tune_audio.evidence.calibration import Calibration, calibrate
from tune_audio.evidence.intervals import interval
from tune_audio.evidence.predictions import of_corpus
from tune_audio.evidence.reliability import reliability
from tune_audio.models.saved import save_model
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.learner import Learner
from tune_audio.training.metrics import (
    CLIP,
    confusion_matrix,
    per_class_accuracy,
    per_class_auc_roc,
    per_class_average_precision,
    per_class_f1,
    probabilities,
)

MODEL = "model"


def final_test(
    learner: Learner, corpus: Corpus, config: dict[str, Any], folder: Path, metric: str
) -> dict[str, Any]:
    """Test on the test split; save in a folder what it said, and below it the model as MODEL.

    Predictions, per-class metrics and confusion matrix are of whole clips. Returns what the trial's
    record is to hold: test/loss and the other test metrics; of the search's own, e.g.
    val/accuracy, with NAME_low and NAME_high, the ends of its 95 % interval.
    """
    test = learner.evaluate("test")
    results = {f"test/{name}": value for name, value in test.scores().items()}
    results |= _ends(test, corpus, metric.removeprefix("val/"))
    calibration = config["calibration"] or _calibration(learner, corpus)
    results |= _reliability(test, corpus, calibration)
    clips = test.by_clip
    names = [corpus.names[row] for row in corpus.rows("test")]
    _, first = np.unique(test.recording, return_index=True)
    _write_predictions(folder / "predictions.csv", [names[i] for i in first], corpus.labels, clips)
    _write_per_class(folder / "per_class.csv", corpus.labels, clips)
    if not corpus.multi_label:
        _write_confusion(folder / "confusion_matrix.csv", corpus.labels, clips)
    save_model(
        folder / MODEL,
        learner.model,
        name=config["model"],
        params=config["model_params"],
        labels=corpus.labels,
        clip_samples=corpus.clip_samples,
        sample_rate=corpus.sample_rate,
        extra={
            "family": config["family"],
            "multi_label": corpus.multi_label,
            "peak": corpus.peak,
            "demonstration": config["demonstration"],
            "calibration": asdict(calibration) if calibration else None,
            "train_params": config["train_params"],
            **results,
        },
    )
    return results


def _ends(test: Evaluation, corpus: Corpus, metric: str) -> dict[str, float]:
    """By window and, where there are windows, by clip."""
    assert test.rows is not None
    said = of_corpus(corpus, test.rows, test.logits)
    ends: dict[str, float] = {}
    names = [metric.removeprefix(CLIP)]
    names += [CLIP + name for name in names if test.has_windows and name != "loss"]
    for name in names:
        with contextlib.suppress(UserError):  # not defined for so few clips
            found = interval(said, f"val/{name}")
            ends |= {f"test/{name}_low": found.low, f"test/{name}_high": found.high}
    return ends


def _calibration(learner: Learner, corpus: Corpus) -> Calibration | None:
    """Of what the search has said nothing: by the retraining's own validation, if it has one."""
    if not len(learner.features.rows("validation")):
        return None
    said = learner.evaluate("validation")
    assert said.rows is not None
    with contextlib.suppress(UserError):
        return calibrate(of_corpus(corpus, said.rows, said.logits), changing=False).calibration
    return None


def _reliability(
    test: Evaluation, corpus: Corpus, calibration: Calibration | None
) -> dict[str, float]:
    """The expected calibration error on the test, as the model is and as it is saved."""
    assert test.rows is not None
    several = test.targets.ndim == 2
    saved = test.logits if calibration is None else calibration.apply(test.logits, several=several)
    with contextlib.suppress(UserError):
        both = (of_corpus(corpus, test.rows, logits) for logits in (test.logits, saved))
        before, after = (reliability(said).error for said in both)
        ends = {"test/ece_low": after.low, "test/ece_high": after.high}
        return {"test/ece_uncalibrated": before.score, "test/ece": after.score, **ends}
    return {}


def _write_per_class(path: Path, labels: list[str], clips: Evaluation) -> None:
    """A row a label: how many clips have it, and the metrics that are its own."""
    several = clips.targets.ndim == 2
    count = clips.targets.sum(0) if several else np.bincount(clips.targets, minlength=len(labels))
    own = {"f1": per_class_f1, "auc_roc": per_class_auc_roc, "ap": per_class_average_precision}
    if not several:
        own = {"accuracy": per_class_accuracy} | own
    columns = {name: of(clips.targets, clips.logits) for name, of in own.items()}
    rows: list[list[object]] = [["label", "clips", *columns]]
    for i, label in enumerate(labels):
        rows.append([label, int(count[i]), *(f"{c[i]:.4f}" for c in columns.values())])
    path.write_text(as_csv(rows), encoding="utf-8")


def _write_predictions(path: Path, names: list[str], labels: list[str], clips: Evaluation) -> None:
    """A row a clip: its labels, the likeliest label, and the probabilities of all."""
    chances = probabilities(clips.targets, clips.logits)
    true = clips.targets > 0.5 if clips.targets.ndim == 2 else np.eye(len(labels))[clips.targets]
    rows = [["file", "labels", "prediction", *labels]]
    for name, own, of_clip in zip(names, true, chances, strict=True):
        given = "|".join(label for label, is_own in zip(labels, own, strict=True) if is_own)
        best = labels[int(of_clip.argmax())]
        rows.append([name, given, best, *(f"{chance:.4f}" for chance in of_clip)])
    path.write_text(as_csv(rows), encoding="utf-8")


def _write_confusion(path: Path, labels: list[str], clips: Evaluation) -> None:
    """Rows: true labels; columns: predicted ones."""
    matrix = confusion_matrix(clips.targets, clips.logits)
    rows: list[list[object]] = [["true \\ predicted", *labels]]
    rows += [[label, *map(int, counts)] for label, counts in zip(labels, matrix, strict=True)]
    path.write_text(as_csv(rows), encoding="utf-8")
