"""A folder of pictures made into another, file by file; what fails is named at the end."""

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from jsr.errors import PartlyDone, UserError
from jsr.images import list_pictures


def convert_folder(
    source: Path, target: Path, convert: Callable[[Path, Path], None], done: str, suffix: str = ""
) -> None:
    """Call `convert(path, new_path)` for every picture below `source`, its place kept in `target`.

    `done` says in a word what happens to a picture. `suffix` replaces that of every file. Raises
    PartlyDone, naming them, when some files failed; UserError when all did, and before any work
    when the folders do not go together or two pictures would become one file.
    """
    check_folders(source, target)
    pictures = list_pictures(source)
    targets = [target / path.relative_to(source) for path in pictures]
    if suffix:
        targets = [path.with_suffix(suffix) for path in targets]
        check_distinct(pictures, targets)
    failed = []
    for path, new_path in zip(tqdm(pictures, unit="picture", disable=None), targets, strict=True):
        try:
            convert(path, new_path)
        except UserError as error:
            failed.append(str(error))
    raise_failures(failed, len(pictures), done)


def raise_failures(failed: list[str], count: int, done: str) -> None:
    """Nothing when none of `count` pictures failed; else PartlyDone, or UserError when all did."""
    if not failed:
        return
    lines = "\n".join(f"error: {line}" for line in failed)
    if len(failed) == count:
        raise UserError(f"none of the {count} pictures could be {done}:\n{lines}")
    raise PartlyDone(f"{lines}\n{count - len(failed)} of {count} {done}")


def check_folders(source: Path, target: Path) -> None:
    """Raise UserError where `target` is a file, or `source` or in it."""
    if target.is_file():
        raise UserError(f"{source} is a folder, but {target} is a file: name a folder")
    # Inside, the next run would work on what this one wrote.
    if target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} lies in {source}, the pictures to work on: name another OUT")


def check_distinct(pictures: list[Path], targets: list[Path]) -> None:
    """Raise UserError where two pictures have the same target."""
    seen: dict[Path, Path] = {}
    for path, new_path in zip(pictures, targets, strict=True):
        if new_path in seen:
            raise UserError(f"{seen[new_path]} and {path} would both become {new_path}: rename one")
        seen[new_path] = path
