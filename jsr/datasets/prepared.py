"""Prepared datasets: TFDS writes them once as ArrayRecord, every process then reads the same copy.

Nothing here needs TensorFlow or a network.
"""

import contextlib
import fcntl
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from jsr.cache import cache_folder
from jsr.errors import UserError


class LocalInfo(tfds.core.DatasetInfo):
    """Of a dataset that TFDS's bucket does not know: asking leaves an empty temporary folder."""

    def initialize_from_bucket(self) -> None:
        pass


def cache_dir() -> Path:
    """The folder of prepared datasets: `$JSR_CACHE/datasets`, else `~/.cache/jsr/datasets`."""
    return cache_folder() / "datasets"


def prepare(
    make_builder: Callable[[], tfds.core.DatasetBuilder], progress: bool = False
) -> tfds.core.DatasetBuilder:
    """Return a builder whose data lie ready as ArrayRecord; write them first where they do not.

    Processes that come at the same time wait for the one that writes: TFDS renames a finished
    folder into place, and fails when another was quicker. A ready copy may be read-only.
    progress: let TFDS show its bars. Raises UserError when the folder cannot be written.
    """
    builder = make_builder()
    if is_prepared(builder):
        return builder
    try:
        with _lock(Path(builder.data_dir_root) / f".{builder.name}.lock"):
            # Made again under the lock: a builder reads what is prepared when it is made.
            builder = make_builder()
            tfds.display_progress_bar(progress)
            with contextlib.redirect_stdout(sys.stderr if progress else io.StringIO()):
                builder.download_and_prepare(file_format="array_record")
    except (OSError, RuntimeError) as error:
        # ArrayRecord's writer says a full disk by a RuntimeError.
        raise UserError(
            f"cannot prepare {builder.name} in {builder.data_dir_root} ({error}): "
            "JSR_CACHE chooses another folder"
        ) from error
    return builder


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the data lie ready; TFDS's own test says the same, with a warning where not."""
    return Path(builder.data_dir).is_dir()


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go of it when the process dies
        yield
