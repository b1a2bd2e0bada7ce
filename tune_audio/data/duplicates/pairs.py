"""Two recordings that belong together."""

from typing import Literal, NamedTuple

Kind = Literal["equal", "copy", "part", "overlap"]


class Pair(NamedTuple):
    """Two recordings, by their names, that belong together.

    kind: "equal" samples; a "copy" of all of it; one is a "part" of the other; or they "overlap".
    Second t of `file_b` is second t + offset_seconds of `file_a`. `correlation` is 1 for equal
    ones, else that of the tenth of a second that agrees least, negative for one upside down.
    """

    file_a: str
    file_b: str
    kind: Kind
    offset_seconds: float
    correlation: float
