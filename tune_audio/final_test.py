"""The end of a retraining: the model is tested once, and saved with what it was tested on."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from tune_audio.data.corpus import Corpus
from tune_audio.evaluation import Evaluation
from tune_audio.learner import Learner
from tune_audio.metrics import confusion_matrix, per_class_accuracy, probabilities
from tune_audio.models.saved import save_model


def final_test(
    learner: Learner, corpus: Corpus, config: dict[str, Any], job: dict[str, Any]
) -> dict[str, Any]:
    """Test on the test split, save model, predictions and confusion matrix in the trial's folder.

    Predictions and confusion matrix are of whole clips. Returns what the trial's record is to hold:
    test/loss, the other test metrics, model_folder.
    """
    folder = Path(config["folder"])
    test = learner.evaluate("test")
    results = {"test/loss": test.loss}
    results |= {f"test/{name}": test.score(name) for name in test.usual(learner.metric)}
    clips = test.by_clip
    names = [corpus.names[row] for row in corpus.rows("test")]
    _, first = np.unique(test.recording, return_index=True)
    _write_predictions(folder / "predictions.csv", [names[i] for i in first], corpus.labels, clips)
    if not corpus.multi_label:
        _write_confusion(folder / "confusion_matrix.csv", corpus.labels, clips)
    save_model(
        folder / "model",
        learner.model,
        name=config["model"],
        params=config["model_params"],
        labels=corpus.labels,
        clip_samples=corpus.clip_samples,
        extra={
            "family": config["family"],
            "multi_label": corpus.multi_label,
            "train_params": config["train_params"],
            **results,
        },
    )
    return results | {"model_folder": str(folder / "model")}


def _write_predictions(path: Path, names: list[str], labels: list[str], clips: Evaluation) -> None:
    """A row a clip: its labels, the likeliest label, and the probabilities of all."""
    chances = probabilities(clips.targets, clips.logits)
    true = clips.targets > 0.5 if clips.targets.ndim == 2 else np.eye(len(labels))[clips.targets]
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "labels", "prediction", *labels])
        for name, own, of_clip in zip(names, true, chances, strict=True):
            given = "|".join(label for label, is_own in zip(labels, own, strict=True) if is_own)
            best = labels[int(of_clip.argmax())]
            rows.writerow([name, given, best, *(f"{chance:.4f}" for chance in of_clip)])


def _write_confusion(path: Path, labels: list[str], clips: Evaluation) -> None:
    """Rows: true labels; columns: predicted ones; last column: the label's own accuracy."""
    matrix = confusion_matrix(clips.targets, clips.logits)
    own = per_class_accuracy(clips.targets, clips.logits)
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["true \\ predicted", *labels, "accuracy"])
        for label, counts, accuracy in zip(labels, matrix, own, strict=True):
            rows.writerow([label, *map(int, counts), f"{accuracy:.4f}"])
