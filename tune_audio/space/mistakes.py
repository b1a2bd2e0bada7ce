"""Every mistake of a space is found before anything runs, and all are shown together."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tune_audio.errors import UserError

_WORDS = {
    "a valid array": "a list",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "None": "null",
}


class Mistakes:
    """Collects what is wrong: where, what was given, what is allowed. Equal lines count once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, where: str, message: str) -> None:
        """Note a mistake at a dotted path such as `models.lstm_cnn.hidden_size`."""
        separator = "" if message.startswith("[") else ": "
        self._lines[f"{where}{separator}{message}"] = None

    def raise_any(self, source: str) -> None:
        """Raise UserError with all of them; do nothing if there are none."""
        lines = list(self._lines)
        if len(lines) == 1:
            raise UserError(f"space {source}: {lines[0]}")
        if lines:
            listing = "".join(f"\n  - {line}" for line in lines)
            raise UserError(f"space {source} has {len(lines)} mistakes:{listing}")


def unknown(kind: str, name: object, allowed: Iterable[str]) -> str:
    """The sentence for a name that does not exist: the nearest right one, then all of them."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1)
    nearest = f"did you mean {close[0]}? " if close else ""
    return f"no such {kind}; {nearest}Allowed: {', '.join(allowed) or 'none'}."


def convert(value: Any, annotation: Any) -> Any:
    """The YAML value as the annotated type: 1 is a float, a list a tuple; "1", True are no ints.

    Raises ValueError whose message says what was given and what is allowed.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except TypeError:
        hint = f"; write '{value}' in quotes if it is text"
        raise ValueError(f"got {value}, a {type(value).__name__}{hint}") from None
    except ValueError:
        raise ValueError(f"got {value}, must be finite") from None
    try:
        # JSON's strict mode is YAML's idea of types: a sequence may be any Python sequence,
        # text may be a path, but text is never a number.
        return TypeAdapter(annotation).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(_sentence(error, value)) from None


def _sentence(error: ValidationError, value: Any) -> str:
    """One sentence for a value that may have failed in several branches of a union."""
    located = [(tuple(i for i in e["loc"] if isinstance(i, int)), e) for e in error.errors()]
    deepest = max(len(index) for index, _ in located)
    index, first = next(pair for pair in located if len(pair[0]) == deepest)
    same = [e for at, e in located if at == index]
    if first["type"] == "missing":
        return f"got {value!r}, has too few items"
    given = first["input"] if index else value
    shown = "null" if given is None else repr(given)
    place = "".join(f"[{i}]" for i in index) + (": " if index else "")
    allowed = [e["msg"].removeprefix("Input should be ") for e in same]
    if any(e["type"] in ("value_error", "assertion_error") for e in same):
        return place + allowed[-1].removeprefix("Value error, ")
    alternatives = " or ".join(dict.fromkeys(allowed))
    for pydantic_word, yaml_word in _WORDS.items():
        alternatives = alternatives.replace(pydantic_word, yaml_word)
    sentence = f"{place}got {shown}, must be {alternatives}"
    if any(e["type"] == "string_type" for e in same) and isinstance(given, int | float):
        sentence += f"; write '{given}' in quotes if it is text"
    choices = [c for e in same if e["type"] == "literal_error" for c in _literals(e)]
    close = difflib.get_close_matches(str(given), choices, n=1)
    return sentence + (f"; did you mean {close[0]}?" if close else "")


def _literals(error: Any) -> list[str]:
    return [part for part in str(error["ctx"]["expected"]).split("'") if part.isidentifier()]
