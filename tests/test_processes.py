"""Several processes that train together: equal to one, stopped and killed together, none left."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
import runs

from jsr import watch

# One CPU device each, compiled as fast as may be.
FLAGS = "--xla_force_host_platform_device_count={} --xla_backend_optimization_level=0"
LINE = "is gone, so process {} stops too"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


class Launch:
    """Processes of one launch and what they say on stderr."""

    def __init__(self, commands: list[list[str]], devices: int = 1, **environment: str):
        shared = {**os.environ, "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}"}
        shared |= {"JAX_NUM_PROCESSES": str(len(commands)), "XLA_FLAGS": FLAGS.format(devices)}
        shared |= environment
        self.said = [[] for _ in commands]
        self.processes = [
            subprocess.Popen(
                command,
                cwd=runs.ROOT,
                env={**shared, "JAX_PROCESS_ID": str(i)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for i, command in enumerate(commands)
        ]
        self._readers = [
            threading.Thread(target=lambda p=p, s=s: s.extend(iter(p.stderr.readline, "")))
            for p, s in zip(self.processes, self.said, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    def until(self, text: str, seconds: float = 120) -> None:
        """Return when process 0 has said `text`."""
        end = time.monotonic() + seconds
        while not any(text in line for line in list(self.said[0])):
            assert time.monotonic() < end and self.processes[0].poll() is None, self.said
            time.sleep(0.05)

    def finish(self, seconds: float = 400) -> list[int]:
        """Exit codes, once all have ended; those that have not by then are killed."""
        end = time.monotonic() + seconds
        for process in self.processes:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for process, reader in zip(self.processes, self._readers, strict=True):
            reader.join()
            process.stderr.close()
        return [process.wait() for process in self.processes]

    def text(self, process: int) -> str:
        return "".join(self.said[process])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    os.environ["JSR_CACHE"] = str(folder / "cache")
    yield runs.make_photos(folder / "photos")
    del os.environ["JSR_CACHE"]


def commands(photos, workdir, count=2, **changes):
    return [runs.command(photos, workdir, **changes)] * count


@pytest.fixture(scope="module")
def alone(photos, tmp_path_factory):
    """The run of one process with one device."""
    workdir = tmp_path_factory.mktemp("alone")
    launch = Launch(commands(photos, workdir, 1))
    assert launch.finish() == [0], launch.said
    return workdir


def largest_difference(one, other) -> float:
    a, b = runs.final_state(one), runs.final_state(other)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[k].astype(np.float64) - b[k]).max()) for k in a)


def table(workdir) -> dict[str, float]:
    rows = json.loads((workdir / "table.json").read_text())["rows"]
    return {row["name"]: row["psnr"] for row in rows}


# Sums over the batch are rounded in another order; 24 steps of Adam carry that on.
CLOSE = 2e-3


def test_two_processes_train_as_one_and_a_stopped_run_goes_on_in_one(photos, alone, tmp_path):
    launch = Launch(commands(photos, tmp_path / "run"))
    launch.until("step 6/24")
    launch.processes[1].send_signal(signal.SIGTERM)
    assert launch.finish() == [0, 0], launch.said
    assert "stopped at step" in launch.text(0)
    assert not (tmp_path / "run" / "table.json").exists()
    # Elastic: two processes wrote the checkpoint, one with two devices goes on.
    launch = Launch(commands(photos, tmp_path / "run", 1), devices=2)
    assert launch.finish() == [0], launch.said
    assert "resumed from step" in launch.text(0)
    assert largest_difference(alone, tmp_path / "run") < CLOSE
    assert table(tmp_path / "run") == pytest.approx(table(alone), abs=0.01)


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_others_with_a_line(photos, tmp_path, victim):
    launch = Launch(commands(photos, tmp_path / "run", pixel__steps=4000))
    launch.until("step 6/")
    launch.processes[victim].kill()
    killed = time.monotonic()
    codes = launch.finish(60)
    assert time.monotonic() - killed < 60
    assert codes[victim] == -signal.SIGKILL
    assert codes[1 - victim] != 0
    other = launch.text(1 - victim)
    assert f"error: process {victim} of 2 {LINE.format(1 - victim)}" in other
    assert "rerun the same command" in other


@pytest.mark.long
def test_two_processes_of_two_devices_train_as_one(photos, alone, tmp_path):
    launch = Launch(commands(photos, tmp_path / "run"), devices=2)
    assert launch.finish() == [0, 0], launch.said
    assert launch.text(1).count("step") == 0
    assert largest_difference(alone, tmp_path / "run") < CLOSE


@pytest.mark.long
def test_another_config_on_one_host_is_refused(photos, tmp_path):
    one, other = runs.command(photos, tmp_path), runs.command(photos, tmp_path, seed=1)
    launch = Launch([one, other])
    assert launch.finish() == [2, 2]
    for process in (0, 1):
        assert "error: the config differs between process 0 and process 1" in launch.text(process)


@pytest.mark.long
def test_a_workdir_that_hosts_do_not_share_is_refused(photos, tmp_path):
    launch = Launch([runs.command(photos, tmp_path / name) for name in ("a", "b")])
    assert launch.finish() == [2, 2]
    assert "is not the same folder in process 0 and in process 1" in launch.text(0)


@pytest.mark.long
def test_a_mistake_in_one_process_ends_the_other(photos, tmp_path):
    """Only process 1 lacks the photographs."""
    one, other = (runs.command(folder, tmp_path) for folder in (photos, tmp_path / "nowhere"))
    launch = Launch([one, other])
    codes = launch.finish(60)
    assert codes[1] == 2 and codes[0] != 0
    assert "nowhere is no folder" in launch.text(1)
    assert "process 1 of 2 has stopped (see its own lines)" in launch.text(0)


def test_processes_that_do_not_come_are_told(photos, tmp_path):
    command = runs.command(photos, tmp_path)
    launch = Launch([command], JAX_NUM_PROCESSES="2", JSR_JOIN_SECONDS="3")
    codes = launch.finish(60)
    assert codes[0] != 0
    assert "waited 3 s for the others" in launch.text(0)


# The watch alone


def watched(count=3):
    server = watch.listen()
    address = ("localhost", server.getsockname()[1])
    ended = [[] for _ in range(count)]
    made = [None] * count

    def make(i):
        made[i] = watch.Watch(i, count, None if i else server, address, ended[i].append)

    threads = [threading.Thread(target=make, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made, ended


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_all_hear_of_one_that_is_gone():
    made, ended = watched()
    made[2]._links[0].shutdown(socket.SHUT_RDWR)
    wait_for(lambda: ended[0] and ended[1])
    assert ended[0][0].startswith("process 2 of 3 is gone, so process 0 stops too")
    assert ended[1][0].startswith("process 2 of 3 has stopped")


def test_silence_is_death(monkeypatch):
    monkeypatch.setattr(watch, "SILENCE", 0.3)
    monkeypatch.setattr(watch, "EVERY", 60)
    _, ended = watched(2)
    wait_for(lambda: ended[0] and ended[1])
    # Whoever misses the other first tells it so.
    assert any("gave no sign of life for 0.3 s" in lines[0] for lines in ended)


def test_what_both_have_done_wrong_both_tell():
    """A process that hears of the other's stop while it ends by itself is not cut off."""
    made, ended = watched(2)
    made[1].fail()
    threading.Timer(0.5, made[0].fail).start()
    made[1]._links[0].shutdown(socket.SHUT_RDWR)
    time.sleep(watch.GRACE + 1)
    assert ended == [[], []]


def test_a_farewell_is_no_death():
    made, ended = watched(2)
    made[1].close()
    made[1]._links[0].shutdown(socket.SHUT_RDWR)
    time.sleep(0.3)
    assert ended == [[], []]
