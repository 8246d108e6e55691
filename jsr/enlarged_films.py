"""Film files through an enlargement: frame by frame, in segments, so that a killed run goes on."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import av
import jax
import numpy as np
from absl import logging
from tqdm import tqdm

from jsr import film_container, film_encoders, film_segments, tile_memory
from jsr.enlargement import Enlargement
from jsr.errors import UserError
from jsr.film_facts import FilmFacts
from jsr.film_formats import FilmOptions, default_codec
from jsr.film_reader import FilmReader, Frame
from jsr.film_segments import Segments
from jsr.film_writer import Encoding, SegmentWriter
from jsr.picture_jobs import Job
from jsr.progress_bar import open_bar
from jsr.streamed_network import StreamedNetwork
from jsr.target_size import TargetSize

BAR = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
# So much earlier than it states may a film end, in seconds.
EARLY = 0.5
# Frames, what they became, and what gives the memory with which a later run goes on from them, or
# None where none can.
Made = tuple[list[Frame], list[np.ndarray], Callable[[], dict] | None]
# The range of RGB, as codecs number it, and its matrix.
RGB_COLORS = {"color_range": 2, "colorspace": 0}


@dataclasses.dataclass(frozen=True)
class EnlargedFilms:
    """What `model` makes of film files."""

    model: Enlargement
    options: FilmOptions = dataclasses.field(default_factory=FilmOptions)

    def run(self, job: Job) -> str | None:
        """Make the film; in words what is wrong with the source, if it could be made in part.

        What a run that was killed had finished is not made again. Raises UserError where nothing
        could be made.
        """
        try:
            return self._run(job)
        except FloatingPointError as error:
            raise UserError(f"{job.source}: {error}: use other weights") from error
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not tile_memory.is_out_of_memory(error):
                raise
            raise UserError(
                f"{job.source}: not enough memory for it: close others, or make it smaller first"
            ) from error
        except (OSError, av.FFmpegError) as error:
            told = getattr(error, "strerror", None) or str(error)
            raise UserError(f"{job.target}: cannot be written ({told}); rerun to go on") from error

    def is_done(self, job: Job) -> bool:
        """Whether the film is there, of its size and no older than its source.

        Raises UserError where something else has its name.
        """
        if not job.target.exists():
            return False
        _, (height, width) = self._sized(FilmReader(job.source).facts)
        try:
            facts = FilmReader(job.target).facts
            told = f"of {facts.width}x{facts.height} pixels, not {width}x{height}"
            right = abs(facts.height - height) <= 1 and abs(facts.width - width) <= 1
        except UserError:
            told, right = "no film", False
        if not right:
            raise UserError(f"{job.target}: is there already, but {told}: --overwrite replaces it")
        return job.target.stat().st_mtime >= job.source.stat().st_mtime

    def _run(self, job: Job) -> str | None:
        reader = FilmReader(job.source)
        model, encoding = self._plan(reader.facts, job.target)
        film_container.check_encoding(job.target, encoding)
        kept, lost = film_container.split_streams(job.source, job.target, encoding)
        for line in [*_remarks(reader.facts, encoding, model), *_drops(lost, job.target)]:
            logging.warning("%s: %s", job.source, line)
        segments = Segments(job.target, film_segments.identify(job.source, model, encoding))
        if segments.begun_otherwise:
            print(f"{job.target} was begun otherwise, or of another film: it begins anew")
        elif segments.notes:
            print(f"{job.target}: {segments.frames} frames are done already")
        if not segments.complete:
            try:
                _fill(reader, model, encoding, segments, job)
            except (UserError, FloatingPointError) as error:
                if not isinstance(error.__cause__, OSError):
                    segments.remove()  # a rerun would end in the same place
                raise
        if reader.misplaced:
            logging.warning(
                "%s: %d frames had the time of one before: moved by a tick",
                job.source,
                reader.misplaced,
            )
        end = film_container.assemble(
            job.source, job.target, segments, encoding, reader.facts, kept
        )
        problem = _problem(reader.facts, segments, end, job)
        segments.remove()
        return problem

    def _sized(self, facts: FilmFacts) -> tuple[Enlargement, tuple[int, int]]:
        """The model for frames as they are stored, and the height and width that they get."""
        model = self.model
        if facts.sideways:
            target = model.target
            fit = None if target.fit is None else target.fit[::-1]
            turned = TargetSize(target.scale, target.height, target.width, fit)
            model = dataclasses.replace(model, target=turned)
        return model, model.size(facts.height, facts.width)

    def _plan(self, facts: FilmFacts, target: Path) -> tuple[Enlargement, Encoding]:
        model, (height, width) = self._sized(facts)
        encoder, options = film_encoders.find_encoder(self.options, default_codec(target))
        pixel_format, planes = film_encoders.choose_planes(encoder, facts.planes)
        encoding = Encoding(
            encoder=encoder,
            options=tuple(options.items()),
            pixel_format=pixel_format,
            planes=planes,
            height=height - height % planes.down,
            width=width - width % planes.across,
            time_base=facts.time_base,
            rate=facts.rate,
            colors=tuple((facts.colors | (RGB_COLORS if planes.rgb else {})).items()),
            aspect=facts.aspect,
        )
        return model, encoding


def _remarks(facts: FilmFacts, encoding: Encoding, model: Enlargement) -> Iterator[str]:
    """What a person should know before it is made."""
    height, width = model.size(facts.height, facts.width)
    if (height, width) != (encoding.height, encoding.width):
        yield (
            f"{width}x{height} is odd: {encoding.pixel_format} needs even sides, the last line is"
            f" left out ({encoding.width}x{encoding.height})"
        )
    if encoding.planes.bits < facts.planes.bits:
        yield f"{encoding.encoder} holds {encoding.planes.bits} of its {facts.planes.bits} bits"
    if facts.interlaced:
        yield "is interlaced, and its lines are enlarged as they are: deinterlace it first"
    if facts.alpha:
        yield "has transparency, which is left out"
    if facts.mastered:
        yield "states how it was mastered (HDR), which is left out; its colours stay as they are"


def _drops(lost: list[str], target: Path) -> Iterator[str]:
    if lost:
        other = "" if target.suffix.lower() == ".mkv" else ": .mkv may"
        yield f"{target.suffix} cannot hold its {', '.join(lost)}{other}"


def _fill(reader: FilmReader, model, encoding: Encoding, segments: Segments, job: Job) -> None:
    """Enlarge what is left, while frames are read ahead and encoded behind, a few at a time."""
    facts = reader.facts
    work = _Behind(reader, encoding, segments)
    with (
        ThreadPoolExecutor(1) as ahead,
        ThreadPoolExecutor(1) as behind,
        _bar(facts.count, segments.frames, job) as bar,
    ):
        way = model.streamed(facts.height, facts.width)
        frames = reader.frames(segments.next)
        if way is None:
            batches = _ahead(ahead, frames, model.at_once(facts.height, facts.width))
            made = _apart(model, batches, job)
        else:
            memory = segments.memory()
            marked = chain.from_iterable(_ahead(ahead, way.mark(frames, memory), 1))
            made = _together(model, way, marked, memory, job)
        writing = None
        try:
            for some in made:
                if writing is not None:
                    bar.update(writing.result())
                writing = behind.submit(work.add, *some)
                del some
            if writing is not None:
                bar.update(writing.result())
            work.end()
        finally:
            behind.submit(work.abandon)


def _apart(model: Enlargement, batches: Iterator[list[Frame]], job: Job) -> Iterator[Made]:
    """Frames enlarged as pictures: a run goes on from any of them, with nothing to remember."""
    for some in batches:
        yield some, _named(job, model.several, [frame.pixels for frame in some]), dict


def _together(model: Enlargement, way: StreamedNetwork, film, memory: dict, job) -> Iterator[Made]:
    """Frames, as `way` marked them, enlarged by what it remembers of others."""
    start = next(film, None)
    if start is None:
        return
    size = start.frame.pixels.shape[:2]
    # A run that goes on has had room before, and finds the number in its memory.
    longest = 1 if memory else _named(job, way.longest, *size)
    kept = model.keeps(*size)
    dtype = start.frame.pixels.dtype if kept else np.float32
    film = chain([start], film)
    del start
    for frame, sr, memorise in way.stream(film, dtype, memory, longest):
        pixels = sr if kept else _named(job, model.finish, frame.pixels, sr)
        yield [frame], [pixels], memorise
        del frame, sr, pixels


def _named(job: Job, call: Callable, *inputs):
    try:
        return call(*inputs)
    except UserError as error:
        raise UserError(f"{job.source}: {error}") from error


def _ahead(pool: ThreadPoolExecutor, things: Iterator, count: int) -> Iterator[list]:
    """So many of them at a time, while the next ones are read."""
    reading = pool.submit(_take, things, count)
    while some := reading.result():
        reading = pool.submit(_take, things, count)
        yield some


def _take(things: Iterator, count: int) -> list:
    return list(islice(things, count))


class _Behind:
    """Encodes frames into segments as they come."""

    def __init__(self, reader: FilmReader, encoding: Encoding, segments: Segments):
        self.reader, self.encoding, self.segments = reader, encoding, segments
        self.writer: SegmentWriter | None = None
        self.frames = self.damaged = self.told = 0
        self.last: Frame | None = None

    def add(self, frames: list[Frame], made: list, memorise: Callable[[], dict] | None) -> int:
        """Encode; how many."""
        for frame, pixels in zip(frames, made, strict=True):
            if self.frames >= film_segments.LENGTH and memorise is not None:
                self._finish(frame.pts, memorise())
            if self.writer is None:
                self.writer = self.segments.open(self.encoding)
            self.writer.write(pixels, frame.pts, frame.duration)
            self.frames += 1
            self.damaged += frame.damaged
            self.told += frame.damaged
            self.last = dataclasses.replace(frame, pixels=None)
        return len(frames)

    def end(self) -> None:
        """All frames have come. Raises UserError where there was none."""
        if self.last is None:
            raise UserError(f"{self.reader.path}: no frame of it can be decoded; copy it again")
        self.damaged += self.reader.damaged - self.told
        if self.writer is not None:
            self._finish(None, {})

    def abandon(self) -> None:
        """Close what is not finished."""
        if self.writer is not None:
            self.writer.abandon()

    def _finish(self, following: int | None, memory: dict) -> None:
        note = {"frames": self.frames, "next": following, "damaged": self.damaged}
        note["last"] = self.last.duration or self.reader.step
        note["end"] = self.last.pts + note["last"]
        self.segments.finish(self.writer, note, memory)
        self.writer, self.frames, self.damaged = None, 0, 0


def _problem(facts: FilmFacts, segments: Segments, end: float, job: Job) -> str | None:
    """What is wrong with the source, in a line."""
    told = []
    damaged = sum(note["damaged"] for note in segments.notes)
    if damaged:
        told.append(f"{damaged} packets or frames are damaged, and were concealed or left out")
    last = segments.notes[-1]
    seen = float(last["end"] * facts.time_base)
    stated, reached = facts.end, seen
    if stated is None:
        stated, reached = facts.whole_end, max(seen, end)
    if stated is not None and reached < stated - EARLY:
        told.append(f"it is cut short: it states {stated:.1f} s, but ends at {reached:.1f} s")
    return f"{job.source}: {'; '.join(told)}: {job.target} is made of the rest" if told else None


def _bar(total: int | None, done: int, job: Job) -> tqdm:
    bar = open_bar(BAR, "frame", total, done)
    bar.set_description(job.source.name, refresh=False)
    return bar
