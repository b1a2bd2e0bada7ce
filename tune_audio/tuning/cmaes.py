"""Optuna's CMA-ES, but that what a run's file says of its state is data, and runs no code.

Optuna keeps the state as a pickle among a trial's attributes. A run may come from somebody else.
"""

import io
import pickle
from typing import Any

from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

from tune_audio.errors import UserError

# What the state is made of: an object of numbers and of arrays of them, as NumPy 2 pickles them.
PARTS = {
    ("cmaes._cma", "CMA"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


class _State(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in PARTS:
            raise UserError(
                f"the run's file: a state of CMA-ES with {module_name}.{global_name}, which is no "
                "part of one; somebody has put it there, so nothing in this run is to be trusted"
            )
        return super().find_class(module_name, global_name)


class CmaEs(CmaEsSampler):
    """Raises UserError for a state that is more than a state."""

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        """As Optuna's own: the newest state there is."""
        for trial in reversed(completed_trials):
            kept = trial.system_attrs.items()
            if pieces := {k: v for k, v in kept if k.startswith(self._attr_key_optimizer)}:
                text = self._concat_optimizer_attrs(pieces)
                return _State(io.BytesIO(bytes.fromhex(text))).load()
        return None
