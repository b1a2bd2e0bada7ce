"""What is raised of an archive that is damaged, encrypted, or packed in a way nobody can undo."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told_as(kind: type[Exception], name: str) -> Iterator[None]:
    """Raises `kind`, with the archive's name and the reason, for whatever is wrong with it.

    zipfile, tarfile and the decompressors below them raise nearly anything: NotImplementedError,
    IndexError, LZMAError, UnicodeDecodeError. What the disk says stays an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # "Invalid data stream", an offset below 0
            raise
        raise kind(_line(name, error)) from error
    except Exception as error:
        raise kind(_line(name, error)) from error


def _line(name: str, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"{name}: {reason or type(error).__name__}"
