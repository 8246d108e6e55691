"""What a run tells: a bar or plain lines, JSON lines, TensorBoard; on process 0 only."""

import contextlib
import json
import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import TextIO

import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from jsr import parallel
from jsr.errors import UserError


class Writer:
    """Shows a run of `total` steps and records it in its workdir.

    On a terminal a progress bar with step/s and ETA; into a pipe plain lines. `log.txt` has the
    lines, `metrics.jsonl` one JSON object a record, `tensorboard/` the event files. Records of
    steps after `start` (of a run that was killed later than its last checkpoint) are dropped; what
    is not finite is null. Other processes than 0 write nothing. Raises UserError when the workdir
    cannot be written.
    """

    def __init__(self, workdir: Path, start: int, total: int):
        self._active = parallel.process_index() == 0
        if not self._active:
            return
        self._start, self._seen, self._total = start, start, total
        self._began = time.monotonic()
        # tensorboardX reports every purge on its own logger.
        logging.getLogger("tensorboardX").setLevel(logging.WARNING)
        try:
            _drop_later(workdir / "metrics.jsonl", start)
            self._records = (workdir / "metrics.jsonl").open("a", encoding="utf-8")
            self._log = (workdir / "log.txt").open("a", encoding="utf-8")
            self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1)
        except OSError as error:
            raise UserError(f"cannot write to {workdir}: {error.strerror}") from error
        self._bar = _make_bar(start, total)

    def line(self, text: str) -> None:
        """One line for a person, on the screen and in log.txt."""
        if not self._active:
            return
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()
        _append(self._log, text)

    def progress(self, stage: str, step: int, metrics: dict) -> None:
        """Training's metrics at `step`: into the bar, the log and the event file."""
        if not self._active:
            return
        self.record(step, {"stage": stage, **metrics})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        if not self._bar.disable:
            self._bar.set_description(stage, refresh=False)
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update(step - self._bar.n)
            return
        rate = self._rate(step)
        left = tqdm.format_interval((self._total - step) / rate)
        self.line(f"{stage}  step {step}/{self._total}  {rate:.3g} step/s  ETA {left}  {shown}")

    def record(self, step: int, values: dict) -> None:
        """One JSON line, and a TensorBoard scalar for each number in `values`."""
        if not self._active:
            return
        finite = {name: _finite_or_none(value) for name, value in values.items()}
        _append(self._records, json.dumps({"step": step, **finite}, allow_nan=False))
        prefix = values.get("stage", "run")
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{prefix}/{name}", value, step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture (uint8 [h, w, 3]) for TensorBoard."""
        if self._active:
            self._board.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close everything."""
        if not self._active:
            return
        for part in (self._bar, self._board, self._records, self._log):
            # A full disk was told when the line was written.
            with contextlib.suppress(OSError):
                part.close()

    def _rate(self, step: int) -> float:
        """Steps a second since the start, greater than zero."""
        # A collapse sends the run back: the steps that it repeats count as well.
        self._start += min(step - self._seen, 0)
        self._seen = step
        return max(step - self._start, 1) / max(time.monotonic() - self._began, 1e-9)


def _make_bar(start: int, total: int) -> tqdm:
    on_terminal = sys.stderr.isatty()
    # Pseudo-terminals without a size say 0, for which tqdm would show nothing.
    sized = on_terminal and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    width = {"dynamic_ncols": True} if sized else {"ncols": 80, "nrows": 24}
    return tqdm(total=total, initial=start, unit="step", disable=not on_terminal, **width)


def _append(file: TextIO, line: str) -> None:
    try:
        file.write(line + "\n")
        file.flush()
    except OSError as error:
        raise UserError(
            f"cannot write {file.name}: {error.strerror}. Make room, and rerun to go on from the"
            " last checkpoint"
        ) from error


def _finite_or_none(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _drop_later(path: Path, start: int) -> None:
    """Keep the whole lines of steps up to `start`."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            # A line that was being written when the run was killed.
            continue
    temporary = path.with_name(".metrics.jsonl.tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
