"""The trained networks inside the package, by name; their cards lie beside them."""

from pathlib import Path

from jsr.errors import UserError

FOLDER = Path(__file__).parent / "shipped"
# The defaults, the best on pictures as they are first.
KINDS = ("base", "small")


def list_names() -> list[str]:
    """The names, such as small-x4."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def find_shipped(name: str) -> Path | None:
    """The file of that name, or None."""
    path = FOLDER / f"{name}.safetensors"
    return path if name in list_names() else None


def default_name(scale: float | None = None) -> str:
    """The best network for an enlargement by `scale` (x4 where none is wished).

    The one that enlarges no less, else the one that enlarges most. Raises UserError where the
    package came without its data files.
    """
    wanted = 4 if scale is None else scale
    for kind in KINDS:
        there = {int(name[-1]): name for name in list_names() if name.startswith(f"{kind}-x")}
        if there:
            return there[min((s for s in there if s >= wanted), default=max(there))]
    raise UserError(
        f"no weights are shipped in {FOLDER}: name some by --weights, or install jsr with its data"
        " files"
    )
