"""Film files through an enlargement: frame by frame, in segments, so that a killed run goes on."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import av
import jax
from absl import logging

from jsr import film_container, film_encoders, film_segments, tile_memory
from jsr.enlarged_frames import fill
from jsr.enlargement import Enlargement
from jsr.errors import UserError
from jsr.film_facts import FilmFacts
from jsr.film_formats import FilmOptions, default_codec
from jsr.film_reader import FilmReader
from jsr.film_segments import Segments
from jsr.film_writer import Encoding
from jsr.picture_jobs import Job
from jsr.target_size import TargetSize

# So much earlier than it states may a film end, in seconds.
EARLY = 0.5
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
                fill(reader, model, encoding, segments, job)
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
