"""YAML 1.2, in which [yes, no, on, off] are words and 1e-4 is a number."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from tune_audio.errors import UserError


def read_yaml(text: str, source: str) -> Any:
    """YAML 1.2 as dicts, lists and scalars; equal keys and tags that run code are errors.

    Raises UserError of one line: source, line number, problem.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        return yaml.load(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{source}, line {line}: a character YAML does not allow") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{source}, line {line}: no valid YAML: {problem}") from None
    except (YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{source}: no valid YAML: {problem}") from None


def write_yaml(value: Mapping[str, Any]) -> str:
    """YAML 1.2 in the given order, innermost lists and mappings on a line of their own."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    # A grid's order is the order of its parameters: sorted keys would be another grid.
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()
