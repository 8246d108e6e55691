"""What a run shows and records, on a terminal, in a pipe and after a kill."""

import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from jsr import writer as module
from jsr.errors import UserError
from jsr.writer import Writer

ROOT = Path(__file__).parent.parent


def records(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def events(workdir: Path) -> list:
    """Every event of every file, in the order of the files: length, CRC, data, CRC."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir(), key=lambda p: p.stat().st_mtime_ns):
        stream = io.BytesIO(path.read_bytes())
        while head := stream.read(12):
            found.append(event_pb2.Event.FromString(stream.read(struct.unpack("<Q", head[:8])[0])))
            stream.read(4)
    return found


def scalars(workdir: Path) -> dict:
    return {
        (value.tag, event.step): value.simple_value
        for event in events(workdir)
        for value in event.summary.value
        if value.HasField("simple_value")
    }


def set_clock(monkeypatch, *seconds: float):
    clock = SimpleNamespace(monotonic=iter(seconds).__next__)
    monkeypatch.setattr(module, "time", clock)


def run_until(workdir: Path, start: int, stop: int):
    writer = Writer(workdir, start, 100)
    for step in range(start + 1, stop + 1):
        writer.progress("pixel", step, {"loss": 1.0 / step})
    writer.close()


def test_records_are_json_lines_with_their_step_and_stage(tmp_path):
    writer = Writer(tmp_path, 0, 10)
    writer.record(0, {"stage": "pixel", "valid_psnr": 24.5})
    writer.progress("pixel", 1, {"loss": 0.5})
    writer.close()
    assert records(tmp_path) == [
        {"step": 0, "stage": "pixel", "valid_psnr": 24.5},
        {"step": 1, "stage": "pixel", "loss": 0.5},
    ]


def test_what_is_not_finite_is_null(tmp_path):
    writer = Writer(tmp_path, 0, 10)
    writer.progress("gan", 1, {"loss": float("nan"), "d_loss": float("inf"), "pixel": 0.5})
    writer.close()
    assert records(tmp_path) == [
        {"step": 1, "stage": "gan", "loss": None, "d_loss": None, "pixel": 0.5}
    ]


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path):
    run_until(tmp_path, 0, 6)
    run_until(tmp_path, 4, 7)
    assert [record["step"] for record in records(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    # TensorBoard is told to forget the same ones.
    starts = [e.step for e in events(tmp_path) if e.HasField("session_log")]
    assert starts[-1] == 5


def test_a_half_line_of_a_killed_run_does_no_harm(tmp_path):
    run_until(tmp_path, 0, 3)
    for rest in (b'{"step": 4, "lo', b"\0\0\0\0", b"\xff\xfe", b"4"):
        with (tmp_path / "metrics.jsonl").open("ab") as file:
            file.write(rest)
        run_until(tmp_path, 3, 5)
        assert [record["step"] for record in records(tmp_path)] == [1, 2, 3, 4, 5]


def test_tensorboard_has_numbers_and_pictures(tmp_path):
    writer = Writer(tmp_path, 0, 10)
    writer.record(0, {"stage": "gan", "valid_psnr": 24.5})
    writer.progress("pixel", 5, {"loss": 0.5})
    writer.record(6, {"seconds": 2})
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    writer.picture(6, "valid", picture)
    writer.close()
    assert scalars(tmp_path) == {
        ("gan/valid_psnr", 0): 24.5,
        ("pixel/loss", 5): 0.5,
        ("run/seconds", 6): 2.0,
    }
    values = [value for event in events(tmp_path) for value in event.summary.value]
    shown = [value.image for value in values if value.tag == "valid"]
    assert [(image.height, image.width, image.colorspace) for image in shown] == [(6, 9, 3)]


def test_a_pipe_gets_plain_lines_which_the_log_keeps(tmp_path, capsys):
    writer = Writer(tmp_path, 0, 100)
    writer.line("a line for a person")
    writer.progress("pixel", 20, {"loss": 0.01234567, "pixel": 3.0})
    writer.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a line for a person"
    found = re.fullmatch(
        r"pixel  step 20/100  (\S+) step/s  ETA [\d:]+  loss 0\.01235  pixel 3", lines[1]
    )
    assert found and float(found[1]) > 0
    assert (tmp_path / "log.txt").read_text().splitlines() == lines and len(lines) == 2


def test_speed_and_eta_count_from_where_the_run_was_resumed(tmp_path, capsys, monkeypatch):
    set_clock(monkeypatch, 100.0, 110.0)
    writer = Writer(tmp_path, 1000, 41_000)
    writer.progress("gan", 1100, {"loss": 1.0})
    writer.close()
    # 100 steps in 10 s; 39,900 are left.
    assert "step 1100/41000  10 step/s  ETA 1:06:30" in capsys.readouterr().err


def test_a_run_that_went_back_still_has_a_speed(tmp_path, capsys, monkeypatch):
    set_clock(monkeypatch, 0.0, 10.0, 20.0, 30.0)
    writer = Writer(tmp_path, 400, 1000)
    for step in (600, 220, 420):
        writer.progress("gan", step, {"loss": 1.0})
    writer.close()
    speeds = re.findall(r"(\S+) step/s", capsys.readouterr().err)
    # 200 steps; the unknown few before 220 are not counted; 200 more.
    assert [float(speed) for speed in speeds] == pytest.approx([20, 10, 13.3], rel=0.01)


def test_other_processes_write_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module.parallel, "process_index", lambda: 1)
    writer = Writer(tmp_path / "absent", 0, 10)
    writer.line("text")
    writer.progress("pixel", 1, {"loss": 1.0})
    writer.record(1, {"loss": 1.0})
    writer.picture(1, "valid", np.zeros((2, 2, 3), np.uint8))
    writer.close()
    assert not (tmp_path / "absent").exists()
    assert capsys.readouterr() == ("", "")


def test_a_workdir_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"cannot write to .*: Is a directory"):
        Writer(tmp_path, 0, 10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without room")
def test_a_full_disk_is_told_in_one_line(tmp_path):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    writer = Writer(tmp_path, 0, 10)
    with pytest.raises(UserError, match=r"No space left on device\. Make room"):
        writer.line("text")
    writer.close()


@pytest.mark.parametrize("columns", [120, 0])
def test_a_terminal_gets_a_bar_with_stage_speed_eta_and_losses(tmp_path, columns):
    code = (
        "import sys, time; from pathlib import Path; from jsr.writer import Writer\n"
        "writer = Writer(Path(sys.argv[1]), 0, 40)\n"
        "for step in range(1, 31):\n"
        "    time.sleep(0.02); writer.progress('pixel', step, {'loss': 0.5})\n"
        "writer.line('a line'); writer.close()\n"
        "assert not {'tensorflow', 'tensorboard'} & sys.modules.keys()\n"
    )
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24 if columns else 0, columns))
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stderr=end,
    )
    os.close(end)
    text = read_all(terminal)
    assert run.wait(timeout=60) == 0, text
    bars = [bar for bar in text.split("\r") if bar.startswith("pixel: ")]
    assert re.search(r"\d+/40 \[00:0\d<00:0\d, .*step(/s)?, loss 0\.5\]", bars[-1])
    assert "a line" in text
    assert (tmp_path / "log.txt").read_text() == "a line\n"
    assert len(records(tmp_path)) == 30


def read_all(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            # So Linux says that the other end is closed.
            part = b""
        if not part:
            os.close(terminal)
            return b"".join(parts).decode()
        parts.append(part)
