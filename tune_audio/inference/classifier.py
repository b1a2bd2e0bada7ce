"""A saved model that is asked about waveforms."""

from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from tune_audio.data.clips import Peak
from tune_audio.data.datasets.commands import COMMANDS
from tune_audio.errors import UserError
from tune_audio.escaping import printable
from tune_audio.evidence.calibration import Calibration

BATCH = 64  # clips that are heard at a time


class Classifier:
    """A saved model, on the GPU if there is one. Raises UserError as `load_model`."""

    def __init__(self, folder: Path) -> None:
        import torch  # loaded once the arguments are known to be right

        from tune_audio.models.saved import load_model

        self.folder = folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model, config = load_model(folder)
        self.model = model.to(self.device)
        self.name, self.labels = config["model"], [printable(label) for label in config["labels"]]
        self.clip_samples, self.sample_rate = config["clip_samples"], config["sample_rate"]
        self.peak: Peak = config["extra"].get("peak", "keep")
        given = config["extra"].get("calibration")
        self.calibration = None
        if given:
            numbers = tuple(given["scale"]), tuple(given["shift"])
            self.calibration = Calibration(given["kind"], *numbers)
        self.multi_label = bool(config["extra"].get("multi_label", False))
        self.demonstration = bool(config["extra"].get("demonstration", False))

    def probabilities(self, waveforms: np.ndarray) -> np.ndarray:
        """The probability of each label, float64 (B, L), calibrated where the model has been.

        waveforms: float32 (B, clip_samples) in [-1, 1), at `sample_rate`.
        """
        import torch

        with torch.inference_mode():
            given = self.model(torch.from_numpy(waveforms).to(self.device)).double()
        logits = given.cpu().numpy()
        if self.calibration is not None:
            logits = self.calibration.apply(logits, several=self.multi_label)
        return expit(logits) if self.multi_label else softmax(logits, axis=-1)

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
