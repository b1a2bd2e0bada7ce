"""How many flipped labels an audit finds, and how many of those it names were flipped.

    python benchmarks/flipped_labels.py --data FOLDER

Of the words of Speech Commands that have 100 clips or more, in train and validation, 5 % get
another label at random, through data.corrections. Three heads (multinomial regressions on the
compact AST, the compact wav2vec 2.0 and mel statistics) are trained on the flipped labels in five
folds over speakers, and what they say of the held-out fold is judged: each alone, and their mean,
as `tune-audio audit` does. As many clips as were flipped are named, or fewer where fewer are
suspected. Beside it, on the same mean, cleanlab's default (prune_by_noise_rate, by self-confidence)
and as many clips as were flipped whose own label is the least probable; and chance. Labels that
were wrong before count as false alarms. Seeded; minutes on one core.
"""

import argparse
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from cleanlab.filter import find_label_issues
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tune_audio.data.corpus import Corpus
from tune_audio.data.corrections import corrections_csv
from tune_audio.data.load import list_clips, load_corpus
from tune_audio.evidence.label_errors import suspects
from tune_audio.evidence.predictions import Predictions, averaged
from tune_audio.models import build_model
from tune_audio.training.folds import assign_folds

DATA_SET = "speech_commands"
LEAST_CLIPS, SHARE, FOLDS, BATCH = 100, 0.05, 5, 64
# Keywords of a model, and the first of its stages that a head trains.
HEADS = {
    "ast": ({"checkpoint": "compact"}, "layernorm"),
    "wav2vec2": ({"checkpoint": "compact"}, "projector"),
    "mel_statistics": ({}, "head"),
}


def features(corpus: Corpus, rows: np.ndarray, model: str) -> np.ndarray:
    """What the stages of a model before its head make of clips, (n, width)."""
    keywords, head = HEADS[model]
    stages = build_model(model, *corpus.form, **keywords).eval()
    names = [name for name, _ in stages.named_children()]
    frozen = torch.nn.Sequential(*list(stages)[: names.index(head)])
    with torch.inference_mode():
        batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
        found = [frozen(torch.from_numpy(corpus.waveforms(batch))) for batch in batches]
    return torch.cat(found).numpy()


def flipped(corpus: Corpus, rows: np.ndarray, seed: int) -> dict[str, str]:
    """Corrections that give a share of the clips another label."""
    rng = np.random.default_rng(seed)
    decisions = {}
    for row in rng.choice(rows, round(SHARE * len(rows)), replace=False):
        others = np.delete(np.arange(len(corpus.labels)), corpus.targets[row])
        decisions[corpus.names[row]] = corpus.labels[rng.choice(others)]
    return decisions


def out_of_fold(of_clips: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> Predictions:
    """What regressions say of the clips, (n, width), of the folds that they were not trained on."""
    said = np.zeros((len(targets), targets.max() + 1))
    for number in range(FOLDS):
        regression = LogisticRegression(C=0.1, max_iter=300)
        head = make_pipeline(StandardScaler(), regression)
        head.fit(of_clips[fold != number], targets[fold != number])
        said[fold == number] = head.predict_log_proba(of_clips[fold == number])
    return Predictions(said, targets, np.arange(len(targets)), fold=fold)


def by_default(predictions: Predictions) -> np.ndarray:
    """What cleanlab suspects as it is used by default, ranked."""
    return find_label_issues(
        predictions.targets,
        predictions.chances,
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Speech Commands")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    console = Console()
    listing = list_clips(DATA_SET, given.data.absolute())
    counts = Counter(clip.labels[0] for clip in listing.clips)
    words = [label for label in listing.labels if counts[label] >= LEAST_CLIPS]
    scores: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        cache, file = Path(folder) / "cache", Path(folder) / "flipped.csv"
        plain = load_corpus(DATA_SET, given.data, labels=words, cache=cache)
        folds = assign_folds(plain, FOLDS)
        rows = np.flatnonzero(folds >= 0)
        heard = {model: features(plain, rows, model) for model in HEADS}
        for seed in range(given.seeds):
            decisions = flipped(plain, rows, seed)
            file.write_text(corrections_csv(decisions))
            corpus = load_corpus(
                DATA_SET, given.data, labels=words, cache=cache, corrections=str(file)
            )
            assert corpus.names == plain.names
            targets = corpus.targets[rows]
            wrong = targets != plain.targets[rows]
            single = {m: out_of_fold(of, targets, folds[rows]) for m, of in heard.items()}
            for name, said in (single | {"mean of three": averaged(list(single.values()))}).items():
                right = float((said.chances.argmax(1) == plain.targets[rows]).mean())
                named = {"audit": np.array([one.recording for one in suspects(said)], int)}
                if name == "mean of three":
                    named["cleanlab's default"] = by_default(said)
                    own = said.chances[np.arange(len(targets)), targets]
                    named["least probable"] = np.argsort(own)
                for how, found in named.items():
                    hits = wrong[found[: wrong.sum()]]
                    score = len(hits), hits.mean(), hits.sum() / wrong.sum()
                    scores[f"{how}, {name}"].append((right, *score))
            scores["chance"].append((1 / len(words), wrong.sum(), SHARE, SHARE))
    table = Table(
        title=f"{len(rows):,} clips of {len(words)} words, {wrong.sum()} flipped, mean of "
        f"{given.seeds} draws"
    )
    for column in ("", "heads are right", "named", "precision", "recall"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in scores.items():
        right, count, precision, recall = np.mean(found, axis=0)
        table.add_row(name, f"{right:.3f}", f"{count:.0f}", f"{precision:.3f}", f"{recall:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
