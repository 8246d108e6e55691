"""Files written whole or not at all: under a temporary name beside them, then renamed."""

import contextlib
import os
import secrets
from pathlib import Path

from jsr.errors import UserError


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`. Raises UserError when it cannot be written."""
    try:
        replace_file(Path(path), data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); write elsewhere") from error


def replace_file(path: Path, data: bytes) -> None:
    """As `write_whole`, for those with other words to say. Raises OSError."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
