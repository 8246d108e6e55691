"""What is finished of a film: segments in a folder beside it, so that a killed run can go on."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import jax
import numpy as np

from jsr.enlargement import Enlargement, Interpolation
from jsr.errors import UserError
from jsr.film_writer import Encoding, SegmentWriter
from jsr.images import write_whole

# Frames of a segment, which starts with a key frame: what a kill costs at most. Where a network
# takes frames in chunks, a segment ends with the chunk.
LENGTH = 120


class Segments:
    """The finished segments of a film, in order, in the folder `.NAME.parts`.

    notes: of each, {"times": of its packets, "frames", "next": when the frame after it is shown,
    or None, "damaged", "last": how long its last frame is shown, "end": until when}. What a network
    of film remembers at the end of the last one lies beside it (for RRN-L at 480p 290 MB): running
    in from some frames before would be near, but so a run that goes on makes the very frames that
    one run would have made.
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

    def finish(self, writer: SegmentWriter, note: dict, memory: dict | None = None) -> None:
        """The segment is whole; memory: arrays with which its film goes on."""
        index = len(self.notes)
        note = {"times": writer.close(), **note, "remembers": bool(memory)}
        if memory:
            _write_arrays(self._path(index + 1, "npz"), memory)
        write_whole(self._path(index, "json"), json.dumps(note).encode())
        self.notes.append(note)
        self._path(index, "npz").unlink(missing_ok=True)

    def memory(self) -> dict[str, np.ndarray]:
        """What was given with the last segment. Raises UserError where that cannot be read."""
        if not self.notes or not self.notes[-1].get("remembers"):
            return {}
        path = self._path(len(self.notes), "npz")
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            raise UserError(f"{path}: cannot be read: run it again to begin anew") from None

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
        if isinstance(way, Interpolation):
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


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Written whole: what stands there under another name is of a run that was killed."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(temporary, path)
