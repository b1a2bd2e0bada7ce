"""torchaudio, also where its compiled extension cannot load.

torchaudio 2.11's wheels link CUDA libraries, so beside a CPU-only torch its import fails, although
mel filter banks and transforms are plain Python. Everyone here writes
`from tune_audio.features._torchaudio import torchaudio`.
"""

import importlib
import re
import sys
from types import ModuleType

MISSING_CUDA_LIBRARY = re.compile(r"lib\w*cuda\w*\.so\S*: cannot open shared object file")


def import_torchaudio() -> ModuleType:
    """Import torchaudio, without its compiled extension if that lacks its CUDA libraries.

    Raises whatever importing raises for any other reason.
    """
    try:
        return importlib.import_module("torchaudio")
    except OSError as error:
        if not _lacks_cuda(error):
            raise
    # "There is no such file" is an answer torchaudio provides for: it then runs in Python alone.
    vars(sys.modules["torchaudio._extension.utils"])["_load_lib"] = lambda lib: False
    return importlib.import_module("torchaudio")


def _lacks_cuda(error: BaseException | None) -> bool:
    """Whether the error, or one that caused it, names a CUDA library that is not there."""
    while error is not None:
        if MISSING_CUDA_LIBRARY.search(str(error)):
            return True
        error = error.__cause__
    return False


torchaudio = import_torchaudio()
