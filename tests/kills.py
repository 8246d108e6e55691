"""Two processes that are killed again and again, and started again, end as two left alone.

Minutes long, so not among the tests: python -m pytest --long tests/kills.py
"""

import random
import signal
import time

import pytest
import runs
from test_processes import LINE, Launch, commands, photos  # noqa: F401

KILLS, SEED = 20, 6
# Long enough that the kills fall into both stages.
RUN = {"pixel__steps": 30, "gan__steps": 170, "eval_every": 10}


def kill(launch: Launch, rng: random.Random) -> str:
    """Send SIGTERM or SIGKILL to one of them some time after it has begun; says what happened."""
    launch.until(" photos of ")
    # In steps and not in seconds, so that a fast machine is not done before the last kill.
    steps = rng.randrange(9)
    while sum("step/s" in line for line in launch.said[0]) < steps:
        assert launch.processes[0].poll() is None, launch.said
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.2))
    number, victim = rng.choice([signal.SIGTERM, signal.SIGKILL]), rng.randrange(2)
    launch.processes[victim].send_signal(number)
    sent = time.monotonic()
    codes = launch.finish(60)
    assert time.monotonic() - sent < 60, launch.said
    told = f"{number.name} to process {victim}: exit codes {codes}"
    if number == signal.SIGTERM and codes == [0, 0]:
        return told
    # SIGTERM as well ends what has not come to its first step.
    assert codes[victim] == -number and codes[1 - victim] != 0, launch.said
    assert f"error: process {victim} of 2 {LINE.format(1 - victim)}" in launch.text(1 - victim)
    return told


@pytest.mark.long
def test_twenty_random_kills_change_no_bit(photos, tmp_path):  # noqa: F811
    """A sum of two numbers is the same in either order: the final states are equal bit for bit."""
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    launch = Launch(commands(photos, alone, **RUN))
    assert launch.finish(900) == [0, 0], launch.said
    rng, stages = random.Random(SEED), set()
    print(f"seed {SEED}")
    for number in range(KILLS):
        launch = Launch(commands(photos, killed, **RUN))
        print(f"{number + 1}: {kill(launch, rng)}", flush=True)
        assert not (killed / "table.json").exists(), "done before the last kill: make RUN longer"
        stages |= {s for s in ("pixel", "gan") if f"{s}  step" in launch.text(0)}
    launch = Launch(commands(photos, killed, **RUN))
    assert launch.finish(900) == [0, 0], launch.said
    assert stages == {"pixel", "gan"}
    assert runs.differing(alone, killed) == []
    for name in ("pixel.safetensors", "gan.safetensors", "table.json"):
        assert (alone / name).read_bytes() == (killed / name).read_bytes()
