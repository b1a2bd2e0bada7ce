"""Text that others wrote, made harmless where it is shown: on a terminal, and in a spreadsheet."""

import csv
import io
import os
import re
from collections.abc import Iterable

# What moves a cursor or clears a screen, ends a line, or turns the direction of writing (CVE-2021-
# 42574); and surrogates, which no terminal can be sent. Joiners stay: whole scripts need them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# How a cell begins that a spreadsheet takes for a formula (OWASP, CSV injection); the others that
# are named there, a tab and a carriage return, are escaped.
_FORMULA = ("=", "+", "-", "@")


def printable(text: str | os.PathLike[str]) -> str:
    """A name, a label or a line as text that can always be shown and saved, on one line.

    Control characters are escaped as Python does: \\x1b, \\n, \\u202e. Bytes of a path that are not
    UTF-8 become \\xNN.
    """
    return _UNSEEN.sub(_escaped, os.fspath(text))


def printable_lines(text: str) -> str:
    """The same for what has several lines on purpose."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps the byte NN of a path: U+DCNN
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode()


def as_csv(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, their text printable. What would be a formula gets a leading apostrophe.

    Numbers have to be numbers, not text: -0.5 stays as it is.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([as_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def as_cell(cell: object) -> object:
    """What a cell of `as_csv` holds."""
    if not isinstance(cell, str | os.PathLike):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
