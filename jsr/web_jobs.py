"""The queue behind the web page: one picture is enlarged at a time, a few results are kept."""

import dataclasses
import queue
import secrets
import shutil
import threading
import time
from pathlib import Path

from absl import logging

from jsr import comparison, images
from jsr.comparison import View
from jsr.enlarged_files import EnlargedFiles
from jsr.enlargement import Enlargement
from jsr.errors import UserError
from jsr.images import WRITERS
from jsr.offered_weights import OfferedWeights
from jsr.target_size import TargetSize

# Pictures that may be on their way: uploading, waiting, and the one that is enlarged.
MOST = 8
# Results are removed after so many newer ones, or so many seconds.
KEPT, SECONDS = 16, 3600.0
LONGEST_NAME = 100


class QueueFull(Exception):
    """There is no room for another picture."""


class _Stopping(Exception):
    """Ends the enlargement of a picture when the page is closed."""


@dataclasses.dataclass(eq=False)
class WebJob:
    """A picture, what it is to become, and how far it is."""

    id: str
    folder: Path
    name: str = "picture"
    weights: str = ""
    target: TargetSize = dataclasses.field(default_factory=TargetSize)
    suffix: str = ".png"
    state: str = "uploading"  # then waiting, running, and done or failed
    progress: float = 0.0
    problem: str = ""
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    views: dict[str, View] = dataclasses.field(default_factory=dict)
    result_name: str = ""
    ended: float = 0.0

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def result(self) -> Path:
        return self.folder / "result"


def clean_name(name: str) -> str:
    """The last part of a name, without what is not to be printed: for messages and downloads."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(character for character in last if character.isprintable())
    path = Path(kept.strip(" .") or "picture")
    return path.stem[:LONGEST_NAME] + path.suffix[:8]


class JobQueue:
    """Pictures one after another, in a thread, each in a folder of its own below `folder`."""

    def __init__(self, folder: Path, offered: OfferedWeights):
        self.folder, self.offered = folder, offered
        self._jobs: dict[str, WebJob] = {}
        self._waiting: queue.Queue[WebJob | None] = queue.Queue()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="enlarging", daemon=True)
        self._thread.start()

    def reserve(self) -> WebJob:
        """A place for a picture that is to be uploaded; `submit` or `drop` it. Or QueueFull."""
        with self._lock:
            on_their_way = [job for job in self._jobs.values() if not job.ended]
            if len(on_their_way) >= MOST:
                raise QueueFull(f"{MOST} pictures are waiting already: try again in a while")
            job = WebJob(secrets.token_urlsafe(16), self.folder / secrets.token_hex(8))
            self._jobs[job.id] = job
        job.folder.mkdir()
        return job

    def submit(self, job: WebJob) -> None:
        """Let a picture be enlarged that lies in `job.source`."""
        job.state = "waiting"
        self._waiting.put(job)

    def drop(self, job: WebJob) -> None:
        """Forget a job, with its files."""
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def find(self, job_id: str) -> WebJob | None:
        with self._lock:
            return self._jobs.get(job_id)

    def before(self, job: WebJob) -> int:
        """How many pictures come before a waiting one."""
        with self._lock:
            jobs = list(self._jobs.values())
        earlier = jobs[: jobs.index(job)] if job in jobs else []
        return sum(other.state in ("waiting", "running") for other in earlier)

    def stop(self, seconds: float = 5.0) -> bool:
        """End the thread, at the next tile of a picture; whether it ended within `seconds`."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._waiting.get(timeout=SECONDS / 60)
            except queue.Empty:
                job = None
            if job is not None and not self._stopping.is_set():
                self._run(job)
            self._remove_old()

    def _run(self, job: WebJob) -> None:
        job.state = "running"
        try:
            self._enlarge(job, self.offered.open(job.weights, job.target))
            state = "done"
        except UserError as error:
            state, job.problem = "failed", str(error)
        except _Stopping:
            state = "failed"
        except Exception:
            logging.exception("%s: could not be enlarged", job.name)
            state, job.problem = "failed", f"{job.name}: an error in jsr: see the terminal"
        job.source.unlink(missing_ok=True)
        job.ended = time.monotonic()
        job.state = state

    def _enlarge(self, job: WebJob, model: Enlargement) -> None:
        def step(part: float) -> None:
            job.progress = min(job.progress + part, 1.0)
            if self._stopping.is_set():
                raise _Stopping

        size = images.picture_size(job.source, job.name, max_bits=16)
        name = result_name(job, model.size(*size), size)
        form = WRITERS[job.suffix]
        enlarged, data = EnlargedFiles(model).convert(job.source, job.name, form, name, step)
        job.result.write_bytes(data)
        views = comparison.make_views(enlarged.read, enlarged.made)
        for kind, view in zip(("before", "after"), views, strict=True):
            (job.folder / kind).write_bytes(view.data)
            job.views[kind] = dataclasses.replace(view, data=b"")
        job.facts = comparison.facts(
            enlarged.read, enlarged.made, views[1], form, job.weights, enlarged.seconds
        )
        job.facts["File"] = f"{name}, {len(data) / 1e6:.2f} MB"
        job.result_name = name

    def _remove_old(self) -> None:
        with self._lock:
            ended = sorted((j for j in self._jobs.values() if j.ended), key=lambda j: j.ended)
        limit = time.monotonic() - SECONDS
        for place, job in enumerate(reversed(ended)):
            if place >= KEPT or job.ended < limit:
                self.drop(job)


def result_name(job: WebJob, made: tuple[int, int], read: tuple[int, int]) -> str:
    """How the download is called: the upload's name and by how much it was enlarged."""
    return f"{Path(job.name).stem}_x{round(made[1] / read[1], 2):g}{job.suffix}"
