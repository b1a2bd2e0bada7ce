"""A saved model put to work: found by its name, fed with recordings of any length."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tune_audio.data.audio import BadAudio, read_audio
from tune_audio.data.clips import SAMPLE_RATE
from tune_audio.data.commands import COMMANDS
from tune_audio.data.windows import window_starts
from tune_audio.errors import UserError
from tune_audio.run_folder import RunFolder
from tune_audio.space import load_space

BATCH = 64


def find_model(runs: Path, name: str) -> Path:
    """A model's own folder, or RUN/FAMILY: that family's retrained model, the best by validation.

    Models of all labels (retrain/) go before those of the search's own (retrain-same/). Raises
    UserError.
    """
    for folder in (Path(name), Path(name, "model")):
        if (folder / "config.json").is_file():
            return folder
    run_name, _, family = name.rstrip("/").rpartition("/")
    try:
        run = RunFolder.find(runs, run_name or family)
    except UserError as error:
        raise UserError(
            f"MODEL: {name} is no folder with a config.json, and as RUN/FAMILY: {error.message}"
        ) from None
    models: dict[str, list[Path]] = {}
    for study in ("retrain", "retrain-same"):
        for config in sorted(run.path.glob(f"{study}/*/model/config.json")):
            found = models.setdefault(config.parents[1].name.rpartition("-")[0], [])
            if not found or found[0].parents[1].name == study:
                found.append(config.parent)
    if not run_name or family not in models:
        known = ", ".join(f"{run.name}/{known}" for known in models) or "none, nothing is retrained"
        raise UserError(f"MODEL: got {name!r}; the models of this run are: {known}.")
    return models[family][0] if len(models[family]) == 1 else _best(run, family, models[family])


def _best(run: RunFolder, family: str, models: list[Path]) -> Path:
    from tune_audio.metrics import direction
    from tune_audio.reporting.ranking import ranked
    from tune_audio.storage import Plan, Storage

    space = load_space(run.space, models=[family])
    search = space.search.model_copy(update={"scheduler": "none", "sampler": "grid"})
    study, plans = models[0].parents[1].name, [Plan(space.families[family])]
    records = Storage(run.database, plans, search, epochs=space.epochs, study=study).records()
    by_key = {model.parent.name: model for model in models}
    for record in ranked(records, direction(search.metric)):
        if record.key in by_key:
            return by_key[record.key]
    raise UserError(f"{run.database}: has no result of {family}; give a model's own folder.")


class Classifier:
    """A saved model, on the GPU if there is one. Raises UserError as `load_model`."""

    def __init__(self, folder: Path) -> None:
        import torch  # loaded once the arguments are known to be right

        from tune_audio.models.saved import load_model

        self.folder = folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model, config = load_model(folder)
        self.model = model.to(self.device)
        self.name, self.labels = config["model"], list(config["labels"])
        self.clip_samples = config["clip_samples"]
        self.multi_label = bool(config["extra"].get("multi_label", False))
        self.demonstration = bool(config["extra"].get("demonstration", False))

    def probabilities(self, waveforms: np.ndarray) -> np.ndarray:
        """Of float32 (B, clip_samples) in [-1, 1) the probability of each label, float64 (B, L)."""
        import torch

        with torch.inference_mode():
            logits = self.model(torch.from_numpy(waveforms).to(self.device)).double()
            chances = logits.sigmoid() if self.multi_label else logits.softmax(dim=-1)
        return chances.cpu().numpy()

    def require_commands(self, what: str) -> None:
        """Raises UserError where the model cannot tell the challenge's twelve classes."""
        if self.multi_label:
            raise UserError(f"{what}: {self.folder} gives a clip several labels; this needs one.")
        if not set(self.labels) & set(COMMANDS):
            raise UserError(
                f"{what}: {self.folder} knows none of the commands {', '.join(COMMANDS)}; give a "
                "model that was trained on Speech Commands or the challenge's data."
            )

    def __str__(self) -> str:
        place = "GPU" if self.device == "cuda" else "CPU"
        learned = ", learned from synthesised audio alone" if self.demonstration else ""
        return f"{self.folder} ({self.name}, {len(self.labels)} labels, on the {place}{learned})"


def predict_files(
    classifier: Classifier,
    paths: Sequence[Path],
    track: Callable[[Iterable, str, int], Iterable] = lambda items, description, total: items,
) -> tuple[list[Path], np.ndarray, list[tuple[Path, str]]]:
    """Paths that could be used, probabilities (n, L) of those, and (path, reason) of the others.

    The probabilities of a recording's windows are averaged. track: see `data.progress.tracking`.
    """
    sums, counts = np.zeros((len(paths), len(classifier.labels))), np.zeros(len(paths), dtype=int)
    bad: list[tuple[Path, str]] = []

    def windows() -> Iterator[tuple[int, np.ndarray]]:
        for row, samples in enumerate(track(_decoded(paths), "Listening", len(paths))):
            if isinstance(samples, BadAudio):
                bad.append((paths[row], str(samples)))
            else:
                yield from ((row, window) for window in cut(samples, classifier.clip_samples))

    waiting = windows()
    while batch := list(itertools.islice(waiting, BATCH)):
        rows, waveforms = zip(*batch, strict=True)
        np.add.at(sums, list(rows), classifier.probabilities(np.stack(waveforms)))
        np.add.at(counts, list(rows), 1)
    usable = np.flatnonzero(counts)
    return [paths[i] for i in usable], sums[usable] / counts[usable, None], bad


def cut(samples: np.ndarray, clip_samples: int) -> Iterator[np.ndarray]:
    """float32 windows (clip_samples,) in [-1, 1) of a recording, int16 (samples,) at 16 kHz.

    A shorter recording is followed by zeros, and of one less than a quarter longer the centre is
    taken, as in `Corpus.waveforms`. A longer one is covered by windows that start every half clip,
    where a corpus without windows has its centre alone.
    """
    length, clip = len(samples) / SAMPLE_RATE, clip_samples / SAMPLE_RATE
    starts = [round(s * SAMPLE_RATE) for s in window_starts(length, clip, clip / 2)]
    if len(starts) == 1:
        starts = [max(0, len(samples) - clip_samples) // 2]
    for start in starts:
        heard = samples[start : start + clip_samples]
        window = np.zeros(clip_samples, dtype=np.float32)
        window[: len(heard)] = heard * np.float32(2.0**-15)
        yield window


def _decoded(paths: Sequence[Path]) -> Iterator[np.ndarray | BadAudio]:
    """Recordings or why they cannot be used, in order; decoded a few ahead, not all at once."""
    count = os.cpu_count() or 1
    with ThreadPoolExecutor(count) as threads:
        ahead: deque = deque()
        for path in paths:
            ahead.append(threads.submit(_decode, path))
            if len(ahead) > 2 * count:
                yield ahead.popleft().result()
        yield from (future.result() for future in ahead)


def _decode(path: Path) -> np.ndarray | BadAudio:
    try:
        return read_audio(path)
    except BadAudio as reason:
        return reason
