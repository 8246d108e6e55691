"""Which file becomes which: files, folders, patterns; what is done already; and doing the rest."""

import dataclasses
import glob
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jsr import film_formats, images
from jsr.errors import UserError
from jsr.film_formats import names_film
from jsr.folders import check_distinct, check_folders
from jsr.images import list_pictures, picture_size, suffix_format

MAGIC = "*?["
SUFFIXES = (*images.SUFFIXES, *film_formats.SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Job:
    """A picture or film and the file that it is to become."""

    source: Path
    target: Path

    @property
    def is_film(self) -> bool:
        """Whether it is of a film, or to become one."""
        return names_film(self.source) or self.target.suffix.lower() in film_formats.WRITERS


def plan_jobs(words: list[str], suffix: str = "", form: str | None = None) -> list[Job]:
    """The jobs of IN ... OUT: files, folders and patterns, into a file or a folder.

    Folders are mirrored, and so is what lies below the part of a pattern that has no magic.
    `suffix` is appended to every name, `form` (png, jpg, ...; mkv, ...) replaces the extension of
    pictures or of films. Raises UserError for what does not go together, before any work.
    """
    *sources, out = words
    target = Path(out)
    for word in sources:
        if Path(word).is_dir():
            check_folders(Path(word), target)
    found = [pair for word in sources for pair in _expand(word)]
    several = len(found) > 1 or len(sources) > 1 or Path(sources[0]).is_dir() or _is_pattern(words)
    if several and target.is_file():
        raise UserError(f"{target} is a file, but there are several pictures: name a folder")
    into = several or target.is_dir() or out.endswith(os.sep)
    jobs = []
    for source, place in found:
        path = _renamed(target / place, suffix, form) if into else target
        jobs.append(Job(source, path))
    check_distinct([job.source for job in jobs], [job.target for job in jobs])
    for job in jobs:
        check_target(job.source, job.target, job.is_film)
    if not several and not jobs[0].is_film:
        # Before weights are loaded; of several, each fails in its turn.
        picture_size(jobs[0].source, max_bits=16)
    return jobs


def share_of_process(jobs: list[Job]) -> list[Job]:
    """The jobs of this process where JAX_NUM_PROCESSES and JAX_PROCESS_ID name it among several.

    Each job is that of one process; they need not know of one another. Raises UserError for numbers
    that do not go together.
    """
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    given = [os.environ.get(name, "") for name in names]
    if not any(given):
        return jobs
    if not all(word.isdecimal() for word in given) or int(given[1]) >= int(given[0]):
        told = " and ".join(f"{n} is {word!r}" for n, word in zip(names, given, strict=True))
        raise UserError(f"{told}: expected a number of processes and this one's, from 0 on")
    processes, process = map(int, given)
    return jobs[process::processes]


def check_target(source: Path, target: Path, film: bool = False) -> None:
    """Raise UserError for a target that cannot be written, or that is the source itself."""
    if film:
        film_formats.check_container(target)
    else:
        suffix_format(target)
    if target.exists() and source.exists() and target.samefile(source):
        kind = "film" if film else "picture"
        raise UserError(f"{target}: is the {kind} itself; name another OUT, or give --suffix")
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder.is_dir() and not os.access(folder, os.W_OK):
        raise UserError(f"{target}: cannot be written (no writing in {folder}); write elsewhere")


def is_done(job: Job, size: tuple[int, int]) -> bool:
    """Whether the target is there, of that height and width, and no older than its source.

    Raises UserError where something else has its name.
    """
    if not job.target.exists():
        return False
    try:
        found = picture_size(job.target, max_bits=16)
    except UserError:
        found = None
    if found != size:
        height, width = size
        told = f"of {found[1]}x{found[0]} pixels, not {width}x{height}" if found else "no picture"
        raise UserError(f"{job.target}: is there already, but {told}: --overwrite replaces it")
    return job.target.stat().st_mtime >= job.source.stat().st_mtime


def run_jobs(
    jobs: list[Job],
    read: Callable[[Job], Any],
    enlarge: Callable[[Any], Any],
    write: Callable[[Job, Any], None],
) -> Iterator[tuple[Job, str | None]]:
    """Do the jobs; each comes with what went wrong, or None, once it is written.

    The next file is read, and the one before written, while one is enlarged. At most these three
    lie in memory.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        waiting = iter(jobs)
        reading = _next_read(waiting, read, reader)
        writing: tuple[Job, Future] | None = None
        try:
            while reading is not None:
                job, future = reading
                reading = _next_read(waiting, read, reader)
                made, problem = _attempt(lambda future=future: enlarge(future.result()))
                del future
                if writing is not None:
                    yield writing[0], _attempt(writing[1].result)[1]
                    writing = None
                if problem is not None:
                    yield job, problem
                    continue
                writing = (job, writer.submit(write, job, made))
                del made
            if writing is not None:
                yield writing[0], _attempt(writing[1].result)[1]
        finally:
            if reading is not None:
                reading[1].cancel()


def _next_read(waiting, read, reader) -> tuple[Job, Future] | None:
    job = next(waiting, None)
    return None if job is None else (job, reader.submit(read, job))


def _attempt(call: Callable[[], Any]) -> tuple[Any, str | None]:
    """What the call returns, and the line of its UserError."""
    try:
        return call(), None
    except UserError as error:
        return None, str(error)


def _expand(word: str) -> list[tuple[Path, Path]]:
    """Each picture that a word names, and its place below OUT."""
    path = Path(word)
    if path.is_dir():
        return [(found, found.relative_to(path)) for found in list_pictures(path, SUFFIXES)]
    if path.exists() or not _is_magic(word):
        return [(path, Path(path.name))]
    top = Path(*_plain_parts(path)) if _plain_parts(path) else Path()
    matches = (Path(match) for match in sorted(glob.glob(word, recursive=True)))
    files = [m for m in matches if m.is_file() and m.suffix.lower() in SUFFIXES]
    if not files:
        raise UserError(f"{word}: no picture has such a name; check the pattern")
    return [(found, found.relative_to(top)) for found in files]


def _plain_parts(path: Path) -> list[str]:
    parts = []
    for part in path.parts:
        if _is_magic(part):
            break
        parts.append(part)
    return parts


def _is_magic(word: str) -> bool:
    return any(character in word for character in MAGIC)


def _is_pattern(words: list[str]) -> bool:
    return any(_is_magic(word) and not Path(word).exists() for word in words[:-1])


def _renamed(path: Path, suffix: str, form: str | None) -> Path:
    extension = path.suffix
    if form is not None and (f".{form}".lower() in film_formats.WRITERS) == names_film(path):
        extension = f".{form}"
    elif names_film(path) and extension.lower() not in film_formats.WRITERS:
        extension = film_formats.ELSE
    return path.with_name(f"{path.stem}{suffix}{extension}")
