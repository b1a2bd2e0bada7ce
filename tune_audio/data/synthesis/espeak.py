"""espeak-ng as a function from text to waveform, by ctypes from the library in espeakng-loader.

The library keeps flutter, noise and filter states from one utterance to the next, and nothing
resets them: what it says depends on everything it said before in the same process. Whoever needs
the same sound twice starts a fresh process and speaks the same texts in the same order.
"""

import ctypes
import re
from pathlib import Path
from types import ModuleType

import numpy as np

from tune_audio.errors import UserError

AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARACTERS_UTF8 = 1
POSITION_CHARACTER = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4

BREATH = re.compile(rb"^breath\s", re.MULTILINE)

SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def loader() -> ModuleType:
    """The espeakng_loader module; a UserError naming the extra where it is not installed."""
    try:
        import espeakng_loader
    except ImportError:
        raise UserError(
            "synthetic speech needs espeak-ng, which is not installed: "
            "pip install 'tune-audio[demo]'"
        ) from None
    return espeakng_loader


def voice_variants() -> list[str]:
    """Names of the voice variants (timbres such as m3, klatt2, croak), sorted.

    Without the dozen that breathe (f2, whisper, ...): espeak-ng never initialises the filters of
    their breath, so that they sound different in every process.
    """
    folder = Path(loader().get_data_path()) / "voices" / "!v"
    return sorted(path.name for path in folder.iterdir() if not BREATH.search(path.read_bytes()))


class Espeak:
    """The process's one espeak-ng: a second instance shares and disturbs the first's state."""

    def __init__(self) -> None:
        paths = loader()
        self.library = ctypes.CDLL(paths.get_library_path())
        data = paths.get_data_path().encode()
        self.sample_rate: int = self.library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
        if self.sample_rate <= 0:
            raise UserError(
                f"espeak-ng found no voices under {paths.get_data_path()}: "
                "reinstall it with pip install --force-reinstall espeakng-loader"
            )
        self.blocks: list[np.ndarray] = []
        # ctypes keeps no reference: without this attribute the callback is freed while C holds it
        self.callback = SynthCallback(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: int | None
    ) -> int:
        if samples and count > 0:
            self.blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(
        self,
        text: str,
        voice: str,
        words_per_minute: int = 170,
        pitch: int = 50,
        pitch_range: int = 50,
    ) -> np.ndarray:
        """Speak a text: float32 (samples,) in [-1, 1) at `sample_rate` Hz, empty if soundless.

        Voice is a language and optionally a variant, e.g. "en-us+f3"; pitch and pitch_range go
        from 0 to 99. Raises ValueError for a voice that espeak-ng does not have.
        """
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((RATE, words_per_minute), (PITCH, pitch), (RANGE, pitch_range)):
            self.library.espeak_SetParameter(parameter, int(value), 0)
        self.blocks.clear()
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(
            encoded, len(encoded), 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None
        )
        self.library.espeak_Synchronize()
        if not self.blocks:
            return np.zeros(0, np.float32)
        return np.concatenate(self.blocks).astype(np.float32) / 32768
