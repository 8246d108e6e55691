"""What files hold films, what is to be made of them, and how PyAV is found; it is optional."""

import dataclasses
import importlib.util
from pathlib import Path

from jsr.errors import UserError

# Containers that are written, by suffix: FFmpeg's name, and the codec unless one is told.
WRITERS = {
    ".mp4": ("mp4", "h264"),
    ".m4v": ("mp4", "h264"),
    ".mov": ("mov", "h264"),
    ".mkv": ("matroska", "h264"),
    ".webm": ("webm", "vp9"),
}
# Those that are read beside them; in a folder they become ELSE.
READ_ONLY = (
    ".avi",
    ".ts",
    ".m2ts",
    ".mts",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".flv",
    ".3gp",
    ".ogv",
    ".vob",
)
SUFFIXES = (*WRITERS, *READ_ONLY)
ELSE = ".mkv"


@dataclasses.dataclass(frozen=True)
class FilmOptions:
    """How films are encoded: a codec by PyAV's name, and what it is told; None for defaults.

    crf: the codec's own scale, less is better. quality: 1 to 100 instead. preset: the codec's word
    for its speed (for ProRes its profile).
    """

    codec: str | None = None
    crf: float | None = None
    quality: int | None = None
    preset: str | None = None


def names_film(path: Path) -> bool:
    """Whether the suffix is one of films'."""
    return path.suffix.lower() in SUFFIXES


def check_container(path: Path) -> None:
    """Raise UserError for a film that cannot be written under that name."""
    if path.suffix.lower() not in WRITERS:
        raise UserError(
            f"{path}: cannot write a film as {path.suffix!r}; use one of {', '.join(WRITERS)}"
        )


def default_codec(path: Path) -> str:
    """The codec of films of that suffix, unless one is told."""
    return WRITERS[path.suffix.lower()][1]


def require_pyav() -> None:
    """Raise UserError where PyAV is not installed."""
    if importlib.util.find_spec("av") is None:
        raise UserError("films need PyAV: pip install 'jsr-superres[video]', or pip install av")
