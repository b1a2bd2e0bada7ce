"""What the compact backbones are worth on real speech: a linear head on each, and on random ones.

    python benchmarks/transfer.py SPEECH_COMMANDS_FOLDER

The backbone stays frozen; the head learns from the training split, its regularisation is chosen
on the validation split, and the test split (other speakers) is scored once. The backbones were
made without any of it.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tune_audio.features._torchaudio  # noqa: F401

# isort: split
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from tune_audio.data.synthesis import SAMPLE_RATE

TASKS = {
    4: ("yes", "no", "stop", "go"),
    10: ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    35: None,  # every folder
}
COMPACT = Path(__file__).parent.parent / "tune_audio" / "models" / "compact"


def read_clips(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A Speech Commands folder: waveforms float32 (n, 16000), words (n,), official splits (n,)."""
    listed = {
        line: split
        for split in ("validation", "testing")
        for line in (folder / f"{split}_list.txt").read_text().splitlines()
    }
    paths = sorted(folder.glob("[!_]*/*.wav"))
    waveforms = np.zeros((len(paths), SAMPLE_RATE), np.float32)
    for row, path in enumerate(paths):
        samples, _ = soundfile.read(path, dtype="float32", frames=SAMPLE_RATE)
        waveforms[row, : len(samples)] = samples
    splits = [listed.get(f"{path.parent.name}/{path.name}", "training") for path in paths]
    return waveforms, np.array([path.parent.name for path in paths]), np.array(splits)


@torch.inference_mode()
def embed(checkpoint: Path, waveforms: np.ndarray, trained: bool) -> np.ndarray:
    """Pooled hidden states (n, hidden): AST's pooler output, wav2vec 2.0's mean over time."""
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint)
    torch.manual_seed(0)
    if trained:
        backbone = AutoModel.from_pretrained(checkpoint)
    else:
        backbone = AutoModel.from_config(AutoConfig.from_pretrained(checkpoint))
    backbone.eval()
    pooled = []
    for start in range(0, len(waveforms), 32):
        batch = list(waveforms[start : start + 32])
        inputs = extractor(batch, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        output = backbone(**inputs)
        has_pooler = getattr(output, "pooler_output", None) is not None
        pooled.append(output.pooler_output if has_pooler else output.last_hidden_state.mean(1))
    return torch.cat(pooled).numpy()


def head_accuracy(features: np.ndarray, words: np.ndarray, splits: np.ndarray) -> tuple[float, int]:
    """Test accuracy of the linear head that is best in validation, and how many clips it is of."""
    part = {split: splits == split for split in ("training", "validation", "testing")}
    heads = []
    for inverse_penalty in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        classifier = LogisticRegression(C=inverse_penalty, max_iter=2000)
        head = make_pipeline(StandardScaler(), classifier)
        head.fit(features[part["training"]], words[part["training"]])
        heads.append((head.score(features[part["validation"]], words[part["validation"]]), head))
    best = max(heads, key=lambda scored: scored[0])[1]
    return best.score(features[part["testing"]], words[part["testing"]]), part["testing"].sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, help="Speech Commands v0.02, or a part laid out like it"
    )
    parser.add_argument(
        "--checkpoints", type=Path, default=COMPACT, help="folder that holds wav2vec2/ and ast/"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    waveforms, words, splits = read_clips(arguments.folder)
    table = Table(title=f"Test accuracy of a linear head on {arguments.folder.name}")
    for column in ("backbone", "weights", *(f"{count} words" for count in TASKS)):
        table.add_column(column)
    for kind in ("wav2vec2", "ast"):
        for trained in (False, True):
            features = embed(arguments.checkpoints / kind, waveforms, trained)
            cells = []
            for chosen in TASKS.values():
                rows = np.isin(words, chosen) if chosen else np.full(len(words), True)
                accuracy, clips = head_accuracy(features[rows], words[rows], splits[rows])
                cells.append(f"{accuracy:.3f} of {clips}")
            table.add_row(kind, "compact" if trained else "random", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
