"""CSV tables that data sets come with, and that people fill in."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tune_audio.errors import UserError


def read_rows(
    path: Path, needed: Sequence[str], form: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row; a cell that is missing is "".

    `form` says the columns in full where an error names them. Raises UserError for what is not
    UTF-8, no CSV, or lacks a needed column; OSError where the file cannot be opened.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            columns = reader.fieldnames or []
            if missing := [name for name in needed if name not in columns]:
                raise UserError(
                    f"{path}: no column {' and '.join(missing)}; it has "
                    f"{', '.join(columns) or 'none'}. Needed are {form or ','.join(needed)}."
                )
            for row in reader:
                yield reader.line_num, row
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV table: {error}.") from None
