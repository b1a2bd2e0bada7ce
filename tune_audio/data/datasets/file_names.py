"""The files that a data set's table names."""

from pathlib import PurePosixPath

from tune_audio.escaping import printable


class FileNames:
    """The names met so far in one column of a table: each stands once, inside the folder."""

    def __init__(self, column: str) -> None:
        self.column = column
        self._line_of: dict[PurePosixPath, int] = {}

    def mistake(self, line: int, name: str) -> str | None:
        """What is wrong with the name in this line, None if nothing; later lines know of it."""
        path = PurePosixPath(name)
        if not name or "\0" in name or path.is_absolute() or ".." in path.parts:
            return f"{self.column} {name!r} must be a path inside the folder"
        first = self._line_of.setdefault(path, line)
        return None if first == line else f"{printable(name)} stands in line {first} already"
