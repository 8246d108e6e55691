"""What is finished of a film: segments in a folder beside it, so that a killed run can go on."""

import hashlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np

from jsr.enlargement import Enlargement
from jsr.film_writer import Encoding, SegmentWriter
from jsr.images import write_whole
from jsr.tiled_network import TiledNetwork

# Frames of a segment, which starts with a key frame: what a kill costs at most.
LENGTH = 120


class Segments:
    """The finished segments of a film, in order, in the folder `.NAME.parts`.

    notes: of each, {"times": of its packets, "frames", "next": when the frame after it is shown,
    or None, "damaged", "last": how long its last frame is shown, "end": until when}.
    """

    def __init__(self, target: Path, made_of: str):
        self.folder = target.with_name(f".{target.name}.parts")
        self._made_of = made_of
        self.notes: list[dict] = []
        self.begun_otherwise = False
        known = _read_json(self.folder / "film.json")
        if known is None or known.get("made_of") != made_of:
            self.begun_otherwise = known is not None
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        while (note := _read_json(self._path(len(self.notes), "json"))) is not None:
            self.notes.append(note)

    @property
    def frames(self) -> int:
        """How many frames are finished."""
        return sum(note["frames"] for note in self.notes)

    @property
    def next(self) -> int | None:
        """When the first frame that is not finished is shown; None at the start, or at the end."""
        return self.notes[-1]["next"] if self.notes else None

    @property
    def complete(self) -> bool:
        """Whether no frame is left."""
        return bool(self.notes) and self.notes[-1]["next"] is None

    def open(self, encoding: Encoding) -> SegmentWriter:
        """A writer for the next segment."""
        if not self.notes:
            text = json.dumps({"made_of": self._made_of})
            write_whole(self.folder / "film.json", text.encode())
        return SegmentWriter(self._path(len(self.notes), "mkv"), encoding)

    def finish(self, writer: SegmentWriter, note: dict) -> None:
        """The segment is whole."""
        note = {"times": writer.close(), **note}
        write_whole(self._path(len(self.notes), "json"), json.dumps(note).encode())
        self.notes.append(note)

    def files(self) -> list[Path]:
        """The segments' files."""
        return [self._path(index, "mkv") for index in range(len(self.notes))]

    def remove(self) -> None:
        """Forget all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, index: int, kind: str) -> Path:
        return self.folder / f"{index:06d}.{kind}"


def identify(source: Path, model: Enlargement, encoding: Encoding) -> str:
    """A hash of all that decides what a film becomes."""
    state = source.stat()
    told = hashlib.sha256(repr((state.st_size, state.st_mtime_ns, encoding, LENGTH)).encode())
    told.update(repr((model.target, model.linear, model.back_projection)).encode())
    for scale, way in model.ways.items():
        told.update(f"{scale} {type(way).__name__}".encode())
        if not isinstance(way, TiledNetwork):
            told.update(way.name.encode())
            continue
        told.update(repr((way.network.facts["model"], way.network.facts.get("hparams"))).encode())
        told.update(repr((way.ensemble, way.wished)).encode())
        for leaf in jax.tree.leaves(way.network.variables):
            told.update(np.asarray(leaf).tobytes())
    return told.hexdigest()


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
