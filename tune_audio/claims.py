"""What a search's kept predictions prove: how sure each score is, and who is really better."""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tune_audio.data.clips import SPLITS
from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.evidence.calibration import Calibrated, Calibration, calibrate
from tune_audio.evidence.comparison import Comparison, compare, difference
from tune_audio.evidence.intervals import LEVEL, Interval, interval
from tune_audio.evidence.optimism import Corrected, correct
from tune_audio.evidence.predictions import Predictions, log_losses, of_corpus
from tune_audio.machine.publish import publish_text
from tune_audio.reporting.doubt import cheapest, luck, ties
from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.training.kept import FILE
from tune_audio.training.metrics import probabilities

T = TypeVar("T")
BASELINE = "mel_statistics"  # the family by this name


@dataclass(frozen=True)
class Claims:
    """By the predictions of trials at their best epochs; empty where none were kept.

    intervals: of trials, by key. comparison: each family's best against the winner; None of one
    family. corrected: the winner's score, corrected for its having been chosen. commonest: the
    metric of answering every clip with how often each label is. calibrated: what was found of each
    family's best. unbeaten: families that are not better than the baseline beyond doubt.
    """

    intervals: dict[str, Interval] = field(default_factory=dict)
    comparison: Comparison | None = None
    corrected: Corrected | None = None
    commonest: float | None = None
    calibrated: dict[str, Calibrated] = field(default_factory=dict)
    unbeaten: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.intervals)

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """Of families whose best is better believed with one."""
        found = {name: of.calibration for name, of in self.calibrated.items()}
        return {name: one for name, one in found.items() if one is not None}

    def bounds(self, searched: Ranking) -> dict[str, float]:
        """FAMILY_low and FAMILY_high of each family's best."""
        found = {f: self.intervals.get(record.key) for f, record in searched.best.items()}
        low = {f"{family}_low": one.low for family, one in found.items() if one}
        return low | {f"{family}_high": one.high for family, one in found.items() if one}

    def in_words(self) -> list[str]:
        """Sentences below the leaderboard."""
        lines = []
        if self.corrected is not None:
            if self.comparison is not None:
                lines.append(ties(self.comparison, self.corrected.raw))
            lines += luck(self.corrected)
        if self.unbeaten:
            names = ", ".join(self.unbeaten)
            lines.append(f"Not better than {BASELINE}, which is no network, beyond doubt: {names}.")
        return lines

    def about_cost(self, retrained: Sequence[TrialRecord]) -> list[str]:
        """Sentences below the retraining's table."""
        times = {r.family: r.extra["ms_per_clip"] for r in retrained if "ms_per_clip" in r.extra}
        return [] if self.comparison is None else cheapest(self.comparison, times)

    def to_dict(self) -> dict[str, Any]:
        return {
            "intervals": {key: asdict(found) for key, found in self.intervals.items()},
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "corrected": None if self.corrected is None else asdict(self.corrected),
            "commonest label": self.commonest,
            "not better than the baseline": self.unbeaten,
            "calibration": {name: asdict(found) for name, found in self.calibrated.items()},
        }


def make_claims(searched: Ranking, corpus: Corpus, trials: Path) -> Claims:
    """Of a search whose trials' folders are below `trials`.

    Trials of as many folds as the winner are compared, which have answered for the same clips.
    """
    kept = dict(_kept(searched, corpus, trials))
    metric, found = searched.metric, {}
    for key, predictions in kept.items():
        found[key] = _if_defined(partial(interval, predictions, metric))
    intervals = {key: one for key, one in found.items() if one is not None}
    most = max((record.folds for record in searched.order), default=0)
    whole = [r for r in searched.order if r.folds == most and r.key in intervals]
    if not whole:
        return Claims(intervals)
    best: dict[str, Predictions] = {}
    for record in whole:
        best.setdefault(record.family, kept[record.key])
    calibrated = {
        name: _if_defined(partial(calibrate, predictions, changing=False))
        for name, predictions in best.items()
    }
    return Claims(
        intervals,
        _if_defined(partial(compare, best, metric)) if len(best) > 1 else None,
        _if_defined(lambda: correct((kept[record.key] for record in whole), metric)),
        _if_defined(lambda: _commonest(kept[whole[0].key], corpus, metric)),
        {name: one for name, one in calibrated.items() if one is not None},
        _if_defined(lambda: tuple(_unbeaten(best, metric))) or (),
    )


def _if_defined(claim: Callable[[], T]) -> T | None:
    """None where a metric is not defined for so few clips: a score without an interval."""
    try:
        return claim()
    except UserError:
        return None


def write_claims(path: Path, claims: Claims) -> None:
    """All of it as JSON; never half a file."""
    publish_text(path, json.dumps(claims.to_dict(), indent=1) + "\n")


def _kept(searched: Ranking, corpus: Corpus, trials: Path) -> Iterator[tuple[str, Predictions]]:
    for record in searched.order:
        predictions = read_predictions(trials / record.key / FILE, corpus)
        if predictions is not None:
            yield record.key, predictions


def read_predictions(path: Path, corpus: Corpus) -> Predictions | None:
    """What a trial has said, in the order of the corpus; None where nothing whole was kept."""
    try:
        with np.load(path) as file:
            order = np.argsort(file["row"])
            rows, fold = file["row"][order], file["fold"][order]
            logits = file["logits"][order].astype(np.float32)
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return of_corpus(corpus, rows, logits, fold if fold.any() else None)


def _unbeaten(best: Mapping[str, Predictions], metric: str) -> Iterator[str]:
    """Families of which the baseline may be as good."""
    if BASELINE not in best:
        return
    for name, predictions in best.items():
        if name != BASELINE:
            found = difference(predictions, best[BASELINE], metric)
            if found.better_by <= 0 or found.p > 1 - LEVEL:
                yield name


def _commonest(predictions: Predictions, corpus: Corpus, metric: str) -> float:
    """What the labels' shares in what was trained on score as an answer to every clip."""
    trained = corpus.targets[np.flatnonzero(corpus.split != SPLITS.index("test"))]
    if predictions.several:
        share = trained.mean(0)
        logits = np.log(np.maximum(share, 1e-9)) - np.log(np.maximum(1 - share, 1e-9))
    else:
        logits = np.log(np.maximum(np.bincount(trained, minlength=len(corpus.labels)), 1e-9))
    same = np.tile(logits.astype(np.float32), (len(predictions.logits), 1))
    losses = log_losses(predictions.targets, probabilities(predictions.targets, same))
    return replace(predictions, logits=same, losses=losses).score(metric)
