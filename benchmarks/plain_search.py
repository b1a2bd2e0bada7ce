"""The search as one would write it without a frozen prefix: the yardstick of frozen_prefix.py.

Every trial of every configuration decodes each clip, extracts its features and forwards the frozen
backbone in every epoch, with transformers' own classes. Same data, configurations, seeds and
epochs as the space; no Ray, no tracking, no checkpoints, so it is the cheapest plain version.
"""

import argparse
import warnings

import numpy as np
import soundfile
import torch
from torch.nn import functional as F

import tune_audio.features._torchaudio  # noqa: F401

# isort: split
import transformers
from transformers import (
    ASTFeatureExtractor,
    ASTForAudioClassification,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
)

from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus
from tune_audio.features.augment import augment
from tune_audio.machine.folders import cache_folder
from tune_audio.space import load_space

CLASSES = {
    "wav2vec2": (Wav2Vec2ForSequenceClassification, Wav2Vec2FeatureExtractor),
    "ast": (ASTForAudioClassification, ASTFeatureExtractor),
}


def features_of(
    corpus: Corpus, root: str, rows: np.ndarray, extractor: object, names: str, draw: int
) -> torch.Tensor:
    """Decode, augment and extract a batch of clips."""
    waveforms = np.zeros((len(rows), corpus.clip_samples), np.float32)
    for i, row in enumerate(rows):
        clip, _ = soundfile.read(f"{root}/{corpus.names[row]}", dtype="float32")
        waveforms[i, : len(clip)] = clip[: corpus.clip_samples]
    if names != "none":
        generators = [np.random.default_rng([0, int(c), draw]) for c in corpus.clip_ids[rows]]
        waveforms = augment(
            names, torch.from_numpy(waveforms), generators, corpus.sample_rate, corpus.noise
        ).numpy()
    return extractor(
        list(waveforms), sampling_rate=corpus.sample_rate, return_tensors="pt"
    ).input_values


def run_trial(corpus: Corpus, root: str, family: str, params: dict, epochs: int) -> float:
    """Train one head; the best validation accuracy."""
    model_class, extractor_class = CLASSES[family]
    torch.manual_seed(0)
    extractor = extractor_class.from_pretrained(params["checkpoint"])
    model = model_class.from_pretrained(
        params["checkpoint"], num_labels=len(corpus.labels), ignore_mismatched_sizes=True
    )
    model.base_model.requires_grad_(False)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, params["lr"])
    train, best = corpus.rows("train"), 0.0
    for epoch in range(epochs):
        model.train()
        model.base_model.eval()
        for rows in np.array_split(
            np.random.default_rng(epoch).permutation(train), -(-len(train) // params["batch_size"])
        ):
            batch = features_of(corpus, root, rows, extractor, params["augment"], epoch)
            loss = F.cross_entropy(model(batch).logits, torch.from_numpy(corpus.targets[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        rows, hits = corpus.rows("validation"), 0
        with torch.no_grad():
            for part in np.array_split(rows, -(-len(rows) // 64)):
                batch = features_of(corpus, root, part, extractor, "none", 0)
                hits += int((model(batch).logits.argmax(-1).numpy() == corpus.targets[part]).sum())
        best = max(best, hits / len(rows))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("space", help="a resolved space.yaml")
    parser.add_argument("--epochs", type=int, help="instead of the space's")
    given = parser.parse_args()
    space = load_space(given.space)
    epochs = given.epochs or space.epochs
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    data = dict(space.data)
    corpus = load_corpus(data.pop("name"), data.pop("root"), cache=cache_folder(), **data)
    for family in space.families.values():
        for params in family.grid():
            best = run_trial(corpus, space.data["root"], family.model, params, epochs)
            shown = {name: params[name] for name in ("lr", "batch_size", "augment")}
            print(f"{family.name} {shown} val/accuracy {best:.3f}", flush=True)


if __name__ == "__main__":
    main()
