"""Networks that other tools saved, read as data: nothing in a file is ever run.

Each reader takes a path. Whatever a file claims, no reader makes more than the bytes that are
there can fill.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jsr.errors import UserError


@contextlib.contextmanager
def reading(path: Path | str, what: str) -> Iterator[None]:
    """Turn whatever reading `path` raises into a UserError of one line; `what` it should be."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or _line(error)}") from error
    except Exception as error:  # a damaged file may raise anything
        raise UserError(f"{path}: not a readable {what}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
