"""What is said of recordings of floats that go beyond full scale."""

import os
from collections.abc import Mapping
from typing import TypeVar

from tune_audio.data.clips import Peak
from tune_audio.escaping import printable

Name = TypeVar("Name", bound=str | os.PathLike[str])


def told(loud: Mapping[Name, float], peak: Peak) -> str:
    """How many there are, the loudest of them, and what becomes of them; `loud` has their peaks."""
    path, highest = max(loud.items(), key=lambda pair: pair[1])
    some = "1 recording goes" if len(loud) == 1 else f"{len(loud):,} recordings go"
    line = f"{some} beyond ±1, {printable(path)} as far as {highest:.5g}"
    if peak == "normalise":
        return f"{line}: scaled to its peak" if len(loud) == 1 else f"{line}: scaled to their peaks"
    return f"{line}: what is beyond is clipped"
