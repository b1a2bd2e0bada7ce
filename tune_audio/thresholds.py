"""Thresholds: how sure a saved model has to be, tuned on validation without training it again.

python -m tune_audio.thresholds latest/lstm_cnn --data FOLDER
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from tune_audio.cache import cache_folder, publish_text
from tune_audio.cli import main
from tune_audio.data.clips import SAMPLE_RATE
from tune_audio.data.commands import LABELS, UNKNOWN
from tune_audio.data.corpus import load_corpus
from tune_audio.data.progress import tracking
from tune_audio.data.silence import SILENCE
from tune_audio.driver import make_console, runs_folder
from tune_audio.errors import UserError
from tune_audio.inference import BATCH, Classifier, find_model
from tune_audio.space import load_space
from tune_audio.space.files import read_yaml

FILE = "thresholds.json"
OFFICIAL = "official"
SPEECH = ("kaggle_speech", "speech_commands12", "speech_commands")


@dataclass(frozen=True)
class Thresholds:
    """Report B's rule: a best score below `silence_below` is silence, else below `unknown_below`
    unknown. A threshold of 0 changes nothing.
    """

    unknown_below: float = 0.0
    silence_below: float = 0.0

    def apply(self, labels: Sequence[str], scores: np.ndarray) -> list[str]:
        """What the rule makes of the likeliest labels and their probabilities, both (n,)."""
        rules = [scores < self.silence_below, scores < self.unknown_below]
        return np.select(rules, [SILENCE, UNKNOWN], np.array(labels, dtype=object)).tolist()

    @classmethod
    def read(cls, model_folder: Path) -> "Thresholds":
        """Those that were tuned for a model; zeros if none were. Raises UserError."""
        path = model_folder / FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(float(stored["unknown_below"]), float(stored["silence_below"]))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not a model's thresholds ({type(error).__name__}: {error}); remove it, "
                "or write it anew with python -m tune_audio.thresholds."
            ) from None


REPORT_B = Thresholds(unknown_below=0.5, silence_below=0.3)


def tune_thresholds(
    probabilities: np.ndarray, labels: Sequence[str], targets12: np.ndarray
) -> Thresholds:
    """The thresholds with the highest twelve-class accuracy, found exactly.

    probabilities: float (n, L) of a model whose L labels are `labels`. targets12: int (n,), the
    true classes as indices into `data.commands.LABELS`. Only where the best scores are cut
    matters, so that with n clips sorted by them all pairs of cuts are compared in O(n log n). Of
    equally good ones that which relabels the fewest clips is taken, and a threshold stands halfway
    between two scores.
    """
    scores = probabilities.max(axis=1)
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    truth = np.array(LABELS, dtype=object)[targets12[order]]
    own = np.array(twelve(labels), dtype=object)[probabilities[order].argmax(axis=1)]
    silence, unknown, kept = (
        np.concatenate([[0], np.cumsum(answer == truth)]) for answer in (SILENCE, UNKNOWN, own)
    )
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(scores)) + 1, [len(scores)]])
    # Right if silence ends at cut i and unknown at cut j: the sum of gain[i], i <= j, and rest[j].
    gain, rest = (silence - unknown)[cuts], (unknown - kept)[cuts]
    j = int(np.argmax(np.maximum.accumulate(gain) + rest))
    i = int(np.argmax(gain[: j + 1]))
    return Thresholds(_between(scores, cuts[j]), _between(scores, cuts[i]))


def _between(scores: np.ndarray, cut: int) -> float:
    """A threshold below which exactly the `cut` lowest of the sorted scores are."""
    if cut == 0:
        return 0.0
    below, above = scores[cut - 1], scores[cut] if cut < len(scores) else max(1.0, scores[-1])
    middle = (below + above) / 2
    return float(middle if middle > below else above if above > below else np.nextafter(below, 2))


def twelve(labels: Sequence[str]) -> list[str]:
    """Each label as one of the challenge's twelve: what is none of them is unknown."""
    return [label if label in LABELS else UNKNOWN for label in labels]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("model")
@click.option("--data", metavar="FOLDER", required=True, help="Speech Commands, or train.7z of it.")
@click.option(
    "--space",
    metavar="NAME|FILE",
    help="Whose data section says what is silence and unknown; default: kaggle_speech where there "
    "is FOLDER/train/audio, else speech_commands12.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def thresholds(model: str, data: str, space: str | None, debug: bool) -> None:
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


def accuracy12(
    probabilities: np.ndarray, labels: Sequence[str], targets12: np.ndarray, rule: Thresholds
) -> float:
    """The part of the clips whose one of twelve classes is found; as `tune_thresholds`."""
    best = [labels[column] for column in probabilities.argmax(axis=1)]
    answers = twelve(rule.apply(best, probabilities.max(axis=1)))
    truth = [LABELS[target] for target in targets12]
    return float(np.mean([a == t for a, t in zip(answers, truth, strict=True)]))


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
    seconds = {"clip_seconds": classifier.clip_samples / SAMPLE_RATE}
    corpus = load_corpus(root=root, cache=cache_folder(), progress=True, **settings | seconds)
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
