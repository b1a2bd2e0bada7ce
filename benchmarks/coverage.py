"""How often intervals hold the truth for new speakers, beside other ways of making them.

python benchmarks/coverage.py [REPETITIONS]

Speakers differ by a normal spread on the scale of logits, recordings of one speaker are alike.
Three tables: 95 % intervals of an accuracy by each method; how often equal models are called
different at 5 %; the winner of many trials, raw and corrected. Seeded; minutes on one core.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri, stdtrit

from tune_audio.evidence.comparison import difference
from tune_audio.evidence.intervals import interval
from tune_audio.evidence.optimism import correct
from tune_audio.evidence.predictions import Predictions

SPEAKERS = (3, 5, 10, 20, 40)
ACCURACIES = (0.7, 0.9, 0.98)
SPREADS = (0.0, 0.5, 1.0)
RECORDINGS = (10, 101)  # of a speaker, from and to below
DRAWS = 1000
NORMAL = np.linspace(-8, 8, 2001)
WEIGHTS = np.exp(-(NORMAL**2) / 2) / np.exp(-(NORMAL**2) / 2).sum()

Ends = tuple[float, float]


def expected(middle: float, spread: float) -> float:
    """The accuracy over all speakers there could be."""
    return float(expit(middle + spread * NORMAL) @ WEIGHTS)


def answers(right: np.ndarray, speaker: np.ndarray) -> Predictions:
    """Predictions of two labels that are right where they are said to be."""
    logits = np.stack([right, ~right], axis=1).astype(np.float16)
    return Predictions(logits, np.zeros(len(right), int), np.arange(len(right)), speaker)


def speakers(rng: np.random.Generator, number: int) -> np.ndarray:
    """The speaker of each recording."""
    return np.repeat(np.arange(number), rng.integers(*RECORDINGS, size=number))


# Each takes right answers and recordings of each speaker, (speakers,), and a generator.


def percentile(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    drawn = _draws(len(clips), rng)
    return _ends((drawn @ right) / (drawn @ clips))


def bca(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    drawn = _draws(len(clips), rng)
    scores, score = (drawn @ right) / (drawn @ clips), right.sum() / clips.sum()
    below = np.clip((scores < score).mean() + (scores == score).mean() / 2, 0.001, 0.999)
    without = (right.sum() - right) / (clips.sum() - clips)
    apart = without.mean() - without
    skew = (apart**3).sum() / (6 * max((apart**2).sum(), 1e-30) ** 1.5)
    moved = ndtri(below) + np.array([-1.96, 1.96])
    tails = np.clip(ndtr(ndtri(below) + moved / (1 - skew * moved)), 0, 1)
    low, high = np.quantile(scores, tails)
    return low, high


def bootstrap_t(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    drawn, score = _draws(len(clips), rng), right.sum() / clips.sum()
    scores = (drawn @ right) / (drawn @ clips)
    apart = right - scores[:, None] * clips
    errors = np.sqrt((drawn * apart**2).sum(axis=1)) / (drawn @ clips)
    far = np.divide(scores - score, errors, out=np.zeros(DRAWS), where=errors > 0)
    far[(errors == 0) & (scores != score)] = 50
    low, high = np.quantile(far, [0.025, 0.975])
    error = np.sqrt(((right - score * clips) ** 2).sum()) / clips.sum()
    return score - high * error, score - low * error


def two_stage(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    drawn = rng.integers(len(clips), size=(DRAWS, len(clips)))
    again = rng.binomial(clips[drawn], (right / clips)[drawn])
    return _ends(again.sum(axis=1) / clips[drawn].sum(axis=1))


def t_of_means(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    means = right / clips
    half = stdtrit(len(clips) - 1, 0.975) * means.std(ddof=1) / np.sqrt(len(clips))
    return means.mean() - half, means.mean() + half


def wild_t(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    """Webb's six-point weights."""
    count, total, score = len(clips), clips.sum(), right.sum() / clips.sum()
    points = np.sqrt([0.5, 1, 1.5])
    signs = rng.choice(np.concatenate([-points, points]), size=(DRAWS, count))
    apart = right - score * clips
    moved = signs @ apart / total
    errors = np.sqrt(((signs * apart - moved[:, None] * clips) ** 2).sum(axis=1)) / total
    far = np.divide(moved, errors, out=np.zeros(DRAWS), where=errors > 0)
    low, high = np.quantile(far, [0.025, 0.975])
    error = np.sqrt((apart**2).sum()) / total
    return score - high * error, score - low * error


def ours(right: np.ndarray, clips: np.ndarray, rng: np.random.Generator) -> Ends:
    each = [np.arange(number) < good for good, number in zip(right, clips, strict=True)]
    speaker = np.repeat(np.arange(len(clips)), clips)
    found = interval(answers(np.concatenate(each), speaker), "accuracy")
    return found.low, found.high


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Ends]] = {
    "percentile": percentile,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
    "two-stage": two_stage,
    "t of speakers' means": t_of_means,
    "wild bootstrap-t": wild_t,
    "tune_audio": ours,
}


def _draws(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)


def _ends(scores: np.ndarray) -> Ends:
    low, high = np.quantile(scores, [0.025, 0.975])
    return low, high


def intervals(repetitions: int, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    """Rows: a method, and its lowest and highest coverage in % for each number of speakers."""
    held = defaultdict(list)
    for count in SPEAKERS:
        for accuracy in ACCURACIES:
            for spread in SPREADS:
                middle = brentq(lambda m, s=spread, a=accuracy: expected(m, s) - a, -10, 15)
                found = defaultdict(int)
                for _ in range(repetitions):
                    clips = rng.integers(*RECORDINGS, size=count)
                    right = rng.binomial(clips, expit(middle + spread * rng.normal(size=count)))
                    for name, method in METHODS.items():
                        low, high = method(right, clips, rng)
                        found[name] += low - 1e-9 <= accuracy <= high + 1e-9
                for name in METHODS:
                    held[name, count].append(100 * found[name] / repetitions)
    for name in METHODS:
        cells = [held[name, count] for count in SPEAKERS]
        yield name, *(f"{min(cell):.0f}-{max(cell):.0f}" for cell in cells)


def equal_models(repetitions: int, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    """Rows: how much models differ by speaker, and how often equal ones are told apart, in %."""
    for apart in (0.0, 0.3, 0.6):
        calls = defaultdict(int)
        for count in SPEAKERS:
            for _ in range(repetitions):
                speaker = speakers(rng, count)
                base = 1.5 + 0.7 * rng.normal(size=count)[speaker]
                base += 2 * rng.normal(size=len(speaker))
                effects = apart * rng.normal(size=(2, count))[:, speaker]
                right = rng.random((2, len(speaker))) < expit(base + effects)
                one, other = (answers(of, speaker) for of in right)
                calls["tune_audio", count] += difference(one, other, "accuracy").p <= 0.05
                ahead = np.bincount(speaker, right[0].astype(int) - right[1], count)
                low, high = percentile(ahead, np.bincount(speaker), rng)
                calls["percentile", count] += low > 0 or high < 0
        for name in ("percentile", "tune_audio"):
            cells = [f"{100 * calls[name, count] / repetitions:.1f}" for count in SPEAKERS]
            yield f"{name}, by speaker {apart}", *cells


def winners(repetitions: int, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    """Rows: trials, and the winner's optimism and coverage in %, raw and corrected."""
    for trials in (10, 50, 200):
        for apart in (0.0, 0.3):
            found: dict[tuple[str, int], list[tuple[float, bool]]] = defaultdict(list)
            for count in SPEAKERS:
                for _ in range(repetitions // 2):
                    speaker = speakers(rng, count)
                    own = apart * rng.normal(size=(trials, 1))
                    ease = 1.5 + 0.7 * rng.normal(size=count)[speaker]
                    ease = own + ease + rng.normal(size=len(speaker))
                    ease += 0.3 * rng.normal(size=(trials, count))[:, speaker]
                    right = rng.random(ease.shape) < expit(ease)
                    got = correct((answers(of, speaker) for of in right), "accuracy")
                    truth = expected(1.5 + own[got.winner, 0], np.sqrt(0.7**2 + 1 + 0.3**2))
                    for name, is_now in (("raw", got.raw), ("corrected", got.corrected)):
                        held = is_now.low <= truth <= is_now.high
                        found[name, count].append((is_now.score - truth, held))
            for name in ("raw", "corrected"):
                means = [np.mean(found[name, count], axis=0) for count in SPEAKERS]
                cells = (f"{by:+.3f} {100 * held:.0f} %" for by, held in means)
                yield f"{trials} trials apart by {apart}, {name}", *cells


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    console = Console(width=110)
    studies = {
        "95 % intervals: lowest and highest coverage in %": intervals,
        "Equal models called different at 5 %, in %": equal_models,
        "The winner: optimism and coverage": winners,
    }
    for seed, (title, rows) in enumerate(studies.items()):
        table = Table("speakers", *map(str, SPEAKERS), title=title)
        for row in rows(repetitions, np.random.default_rng(seed)):
            table.add_row(*row)
        console.print(table)


if __name__ == "__main__":
    main()
