"""Frames of a film enlarged into its segments, read ahead and encoded behind."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

import numpy as np
from tqdm import tqdm

from jsr import film_segments
from jsr.enlargement import Enlargement, Plan
from jsr.errors import UserError
from jsr.film_reader import FilmReader, Frame
from jsr.film_segments import Segments
from jsr.film_writer import Encoding, SegmentWriter
from jsr.picture_jobs import Job
from jsr.progress_bar import open_bar

BAR = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
# Frames, what they became, and what gives the memory with which a later run goes on from them, or
# None where none can.
Made = tuple[list[Frame], list[np.ndarray], Callable[[], dict] | None]


def fill(
    reader: FilmReader, model: Enlargement, encoding: Encoding, segments: Segments, job: Job
) -> None:
    """Enlarge what is left, while frames are read ahead and encoded behind, a few at a time.

    Raises UserError where no frame can be decoded, or frames have no room in memory;
    FloatingPointError where a network's output is not finite.
    """
    facts = reader.facts
    work = _Behind(reader, encoding, segments)
    with (
        ThreadPoolExecutor(1) as ahead,
        ThreadPoolExecutor(1) as behind,
        _bar(facts.count, segments.frames, job) as bar,
    ):
        plan = model.plan(facts.height, facts.width)
        frames = reader.frames(segments.next)
        if plan.streams:
            memory = segments.memory()
            marked = chain.from_iterable(_ahead(ahead, plan.way.mark(frames, memory), 1))
            made = _together(model, plan, marked, memory, job)
        else:
            batches = _ahead(ahead, frames, model.at_once(facts.height, facts.width))
            made = _apart(model, batches, job)
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


def _together(model: Enlargement, plan: Plan, film, memory: dict, job: Job) -> Iterator[Made]:
    """Frames, as the network marked them, enlarged by what it remembers of others."""
    start = next(film, None)
    if start is None:
        return
    size = start.frame.pixels.shape[:2]
    # A run that goes on has had room before, and finds the number in its memory.
    longest = 1 if memory else _named(job, plan.way.longest, *size)
    dtype = start.frame.pixels.dtype if plan.kept else np.float32
    film = chain([start], film)
    del start
    for frame, sr, memorise in plan.way.stream(film, dtype, memory, longest):
        pixels = sr if plan.kept else _named(job, model.finish, plan, frame.pixels, sr)
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


def _bar(total: int | None, done: int, job: Job) -> tqdm:
    bar = open_bar(BAR, "frame", total, done)
    bar.set_description(job.source.name, refresh=False)
    return bar
