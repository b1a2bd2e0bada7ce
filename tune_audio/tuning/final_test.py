"""The end of a retraining: the model is tested once, and saved with what it was tested on."""

from pathlib import Path
from typing import Any

import numpy as np

from tune_audio.data.corpus import Corpus
from tune_audio.escaping import as_csv
from tune_audio.models.saved import save_model
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.learner import Learner
from tune_audio.training.metrics import (
    confusion_matrix,
    per_class_accuracy,
    per_class_auc_roc,
    per_class_average_precision,
    per_class_f1,
    probabilities,
)

MODEL = "model"


def final_test(
    learner: Learner, corpus: Corpus, config: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Test on the test split; save in a folder what it said, and below it the model as MODEL.

    Predictions, per-class metrics and confusion matrix are of whole clips. Returns what the trial's
    record is to hold: test/loss and the other test metrics.
    """
    test = learner.evaluate("test")
    results = {f"test/{name}": value for name, value in test.scores().items()}
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
            "train_params": config["train_params"],
            **results,
        },
    )
    return results


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
