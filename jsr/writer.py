"""What a run tells: a bar or plain lines, JSON lines, TensorBoard; on process 0 only."""

import json
import logging
import sys
import time
from pathlib import Path

import jax
import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from jsr.errors import UserError


class Writer:
    """Shows a run of `total` steps and records it in its workdir.

    On a terminal a progress bar with step/s and ETA; into a pipe plain lines. `log.txt` has the
    lines, `metrics.jsonl` one JSON object a record, `tensorboard/` the event files. Records of
    steps after `start` (of a run that was killed later than its last checkpoint) are dropped.
    Other processes than 0 write nothing.
    """

    def __init__(self, workdir: Path, start: int, total: int):
        self._active = jax.process_index() == 0
        if not self._active:
            return
        self._start, self._total, self._began = start, total, time.monotonic()
        # tensorboardX reports every purge on its own logger.
        logging.getLogger("tensorboardX").setLevel(logging.WARNING)
        try:
            _drop_later(workdir / "metrics.jsonl", start)
            self._records = (workdir / "metrics.jsonl").open("a", encoding="utf-8")
            self._log = (workdir / "log.txt").open("a", encoding="utf-8")
            self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1)
        except OSError as error:
            raise UserError(f"cannot write to {workdir}: {error.strerror}") from error
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, initial=start, unit="step", dynamic_ncols=True, disable=not on_terminal
        )

    def line(self, text: str) -> None:
        """One line for a person, on the screen and in log.txt."""
        if not self._active:
            return
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()
        self._log.write(text + "\n")
        self._log.flush()

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
        rate = (step - self._start) / max(time.monotonic() - self._began, 1e-9)
        left = (self._total - step) / max(rate, 1e-9)
        minutes, seconds = divmod(round(left), 60)
        self.line(
            f"{stage}  step {step}/{self._total}  {rate:.1f} step/s"
            f"  ETA {minutes}:{seconds:02d}  {shown}"
        )

    def record(self, step: int, values: dict) -> None:
        """One JSON line, and a TensorBoard scalar for each number in `values`."""
        if not self._active:
            return
        self._records.write(json.dumps({"step": step, **values}) + "\n")
        self._records.flush()
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
        self._bar.close()
        self._board.close()
        self._records.close()
        self._log.close()


def _drop_later(path: Path, start: int) -> None:
    """Keep the whole lines of steps up to `start`."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
            continue
    temporary = path.with_name(".metrics.jsonl.tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
