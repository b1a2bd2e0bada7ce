"""The end of a retraining: the model is tested once, and saved with what it was tested on."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from tune_audio.data.corpus import Corpus
from tune_audio.learner import Evaluation, Learner
from tune_audio.metrics import confusion_matrix, per_class_accuracy
from tune_audio.models.saved import save_model


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Numbers of trainable and of frozen parameters (scalars)."""
    counts = {True: 0, False: 0}
    for parameter in model.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return {"trainable_parameters": counts[True], "frozen_parameters": counts[False]}


def final_test(
    learner: Learner, corpus: Corpus, config: dict[str, Any], job: dict[str, Any]
) -> dict[str, Any]:
    """Test on the test split, save model, predictions and confusion matrix in the trial's folder.

    Returns what the trial's record is to hold: test/loss, test/accuracy, model_folder.
    """
    folder = Path(config["folder"])
    test = learner.evaluate("test")
    results = {"test/loss": test.loss, "test/accuracy": test.score("accuracy")}
    if learner.metric not in ("loss", "accuracy"):
        results[f"test/{learner.metric}"] = test.score(learner.metric)
    _write_predictions(folder / "predictions.csv", corpus, test)
    _write_confusion(folder / "confusion_matrix.csv", corpus.labels, test)
    save_model(
        folder / "model",
        learner.model,
        name=config["model"],
        params=config["model_params"],
        labels=corpus.labels,
        clip_samples=corpus.clip_samples,
        extra={"family": config["family"], "train_params": config["train_params"], **results},
    )
    return results | {"model_folder": str(folder / "model")}


def _write_predictions(path: Path, corpus: Corpus, test: Evaluation) -> None:
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "prediction", "probability"])
        exponents = np.exp(test.logits - test.logits.max(-1, keepdims=True))
        probabilities = exponents / exponents.sum(-1, keepdims=True)
        for row, target, p in zip(corpus.rows("test"), test.targets, probabilities, strict=True):
            best = int(p.argmax())
            rows.writerow(
                [corpus.names[row], corpus.labels[target], corpus.labels[best], f"{p[best]:.4f}"]
            )


def _write_confusion(path: Path, labels: list[str], test: Evaluation) -> None:
    """Rows: true labels; columns: predicted ones; last column: the label's own accuracy."""
    matrix = confusion_matrix(test.targets, test.logits)
    own = per_class_accuracy(test.targets, test.logits)
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["true \\ predicted", *labels, "accuracy"])
        for label, counts, accuracy in zip(labels, matrix, own, strict=True):
            rows.writerow([label, *map(int, counts), f"{accuracy:.4f}"])
