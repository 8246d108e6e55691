"""Files through an enlargement: many with a bar, one through a pipe; what fails is named."""

import dataclasses
import sys
import time
from pathlib import Path

from absl import logging

from jsr import film_formats, images, picture_jobs
from jsr.comparison import Comparison
from jsr.enlargement import Enlargement, Progress
from jsr.errors import PartlyDone, UserError
from jsr.film_formats import FilmOptions
from jsr.folders import raise_failures
from jsr.images import WRITERS, Animation, Picture
from jsr.picture_jobs import Job
from jsr.progress_bar import open_bar

# A word for standard input and output.
STREAM = "-"
BAR = "{percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} MP [{elapsed}<{remaining}, {rate_fmt}]"


@dataclasses.dataclass(frozen=True)
class Enlarged:
    """A picture as it was read, and enlarged; how long that took, where it was measured."""

    read: Picture | Animation
    made: Picture | Animation
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class EnlargedFiles:
    """What `model` makes of picture files, and of films.

    quality: of formats that lose, None for their default. all_frames: of animations, else the
    first is taken, with a warning. films: how those are encoded. compare: the page that shows
    the pictures, or None.
    """

    model: Enlargement
    quality: int | None = None
    all_frames: bool = False
    films: FilmOptions = dataclasses.field(default_factory=FilmOptions)
    compare: Comparison | None = None

    def run(self, jobs: list[Job], overwrite: bool = False) -> None:
        """Do the jobs, with a bar; of several, those that are done already only to `overwrite`.

        Several processes share them out, see `picture_jobs.share_of_process`.
        Raises PartlyDone, naming them, when some failed, and UserError when all did.
        """
        again = overwrite or len(jobs) == 1
        jobs = picture_jobs.share_of_process(jobs)
        pictures = [job for job in jobs if not job.is_film]
        films = [job for job in jobs if job.is_film]
        failed = self._run_pictures(pictures, again)
        damaged = self._run_films(films, again, failed) if films else []
        if len(jobs) == 1 and failed:
            raise UserError(failed[0])
        if damaged and len(failed) < len(jobs):
            lines = [f"error: {line}" for line in failed] + damaged
            made = f"{len(jobs) - len(failed)} of {len(jobs)} enlarged"
            raise PartlyDone("\n".join([*lines, made]))
        raise_failures(failed, len(jobs), "enlarged")

    def _run_pictures(self, jobs: list[Job], again: bool) -> list[str]:
        """Do them; in words what failed."""
        failed: list[str] = []
        megapixels, done = self._left(jobs, again, failed)
        _tell_done(len(done), len(jobs))
        self._compare_done(done, failed)
        with open_bar(BAR, "MP", max(sum(megapixels.values()), 1e-6)) as bar:

            def enlarge(read: tuple[Job, Picture | Animation]) -> Enlarged:
                job, picture = read
                whole = megapixels[job]
                return self._timed(picture, str(job.source), lambda part: bar.update(part * whole))

            done = picture_jobs.run_jobs(list(megapixels), self._read_job, enlarge, self._write_job)
            return failed + [problem for _, problem in done if problem is not None]

    def _run_films(self, jobs: list[Job], again: bool, failed: list[str]) -> list[str]:
        """Do them, adding to what failed; in words which of those that were made are damaged."""
        film_formats.require_pyav()
        from jsr.enlarged_films import EnlargedFilms  # PyAV is optional

        films = EnlargedFilms(self.model, self.films)
        damaged, skipped = [], 0
        for job in jobs:
            try:
                if not again and films.is_done(job):
                    skipped += 1
                elif (problem := films.run(job)) is not None:
                    damaged.append(problem)
            except UserError as error:
                failed.append(str(error))
        _tell_done(skipped, len(jobs))
        return damaged

    def pipe(self, words: list[str], form: str | None) -> None:
        """One picture from standard input, to standard output (as `form`: png, ...), or both."""
        if len(words) != 2:
            raise UserError("a pipe takes one picture: python -m jsr.upscale - - --format png")
        source, target = words
        if target == STREAM:
            name = "standard output"
            form = WRITERS.get(f".{form}".lower() if form else Path(source).suffix.lower())
            if form is None:
                raise UserError("--format is missing: what standard output is to be, as in png")
        else:
            picture_jobs.check_target(Path(source), Path(target))
            name, form = target, images.suffix_format(Path(target))
        read_name = "standard input" if source == STREAM else source
        data = sys.stdin.buffer.read() if source == STREAM else Path(source)
        _, encoded = self.convert(data, read_name, form, name)
        if target == STREAM:
            sys.stdout.buffer.write(encoded)
            sys.stdout.buffer.flush()
        else:
            images.write_whole(Path(target), encoded)

    def convert(
        self,
        source: Path | bytes,
        read_name: str,
        form: str,
        name: str,
        step: Progress | None = None,
    ) -> tuple[Enlarged, bytes]:
        """A picture enlarged, and as a file of the format `form`; the names are for messages.

        Raises UserError for a picture that cannot be read, enlarged, or held by the format.
        """
        enlarged = self._timed(self._read(source, read_name), read_name, step)
        return enlarged, self._encode(enlarged.made, form, name)

    def _left(
        self, jobs: list[Job], again: bool, failed: list[str]
    ) -> tuple[dict[Job, float], list[Job]]:
        """The jobs that are to be done, with the megapixels of their results; and those done."""
        left, done = {}, []
        for job in jobs:
            try:
                size = self.model.size(*images.picture_size(job.source, max_bits=16))
                if again or not picture_jobs.is_done(job, size):
                    left[job] = size[0] * size[1] / 1e6
                else:
                    done.append(job)
            except UserError as error:
                failed.append(str(error))
        return left, done

    def _read_job(self, job: Job) -> tuple[Job, Picture | Animation]:
        return job, self._read(job.source, str(job.source))

    def _write_job(self, job: Job, enlarged: Enlarged) -> None:
        form = images.suffix_format(job.target)
        images.write_whole(job.target, self._encode(enlarged.made, form, str(job.target)))
        self._compare(job, enlarged)

    def _compare(self, job: Job, enlarged: Enlarged) -> None:
        if self.compare is not None:
            before, after = (_first(part) for part in (enlarged.read, enlarged.made))
            form = images.suffix_format(job.target)
            self.compare.add(str(job.source), before, after, form, enlarged.seconds)

    def _compare_done(self, jobs: list[Job], failed: list[str]) -> None:
        """Show what earlier runs have made, adding to what failed."""
        for job in jobs if self.compare is not None else ():
            try:
                both = (images.read_picture(p, max_bits=16) for p in (job.source, job.target))
                self._compare(job, Enlarged(*both))
            except UserError as error:
                failed.append(str(error))

    def _read(self, source: Path | bytes, name: str) -> Picture | Animation:
        picture = images.read_picture(source, name, max_bits=16)
        if not picture.first_of_several:
            return picture
        if self.all_frames:
            animation = images.read_animation(source, name)
            if len(animation.frames) > 1:
                return animation
        logging.warning("%s: has several frames or pages; the first is taken (see --frames)", name)
        return picture

    def _timed(self, read: Picture | Animation, name: str, step: Progress | None) -> Enlarged:
        start = time.perf_counter()
        made = self._enlarge(read, name, step)
        return Enlarged(read, made, time.perf_counter() - start)

    def _enlarge(
        self, read: Picture | Animation, name: str, step: Progress | None = None
    ) -> Picture | Animation:
        if isinstance(read, Picture):
            return _enlarge_picture(read, self.model, name, step)
        part = None if step is None else lambda done: step(done / len(read.frames))
        frames = [_enlarge_picture(frame, self.model, name, part) for frame in read.frames]
        return dataclasses.replace(read, frames=frames)

    def _encode(self, made: Picture | Animation, form: str, name: str) -> bytes:
        if isinstance(made, Picture):
            return images.encode(made, form, name, self.quality)
        return images.encode_animation(made.frames, made, form, name, self.quality)


def _first(part: Picture | Animation) -> Picture:
    return part if isinstance(part, Picture) else part.frames[0]


def _tell_done(count: int, of: int) -> None:
    if count:
        print(f"{count} of {of} are done already; --overwrite makes them again")


def _enlarge_picture(
    picture: Picture, model: Enlargement, name: str, progress: Progress | None
) -> Picture:
    """A picture enlarged, with its metadata. Raises UserError that starts with `name`."""
    try:
        pixels, alpha = model(picture.pixels, picture.alpha, progress)
    except FloatingPointError as error:
        raise UserError(f"{name}: {error}: use other weights") from error
    except MemoryError as error:
        raise UserError(f"{name}: not enough memory for it: close other programs") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return dataclasses.replace(picture, pixels=pixels, alpha=alpha)
