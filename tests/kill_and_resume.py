"""Kill a run with SIGKILL at random moments, resume it each time, compare it with one left alone.

    python tests/kill_and_resume.py --kills 10

Exit code 0 when every array of the final states (parameters, both optimizers, moving average,
batch statistics) is the same bit for bit, and the weights files are.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import runs

WEIGHTS = ("pixel.safetensors", "gan.safetensors", "best.safetensors")


def compare(folder: Path, kills: int, seed: int = 0, **changes) -> list[str]:
    """Names of what differs between a run left alone and one killed `kills` times."""
    photos = runs.make_photos(folder / "photos")
    alone, killed = folder / "alone", folder / "killed"
    began = time.monotonic()
    check(runs.run(photos, alone, **changes))
    whole = time.monotonic() - began
    rng = random.Random(seed)
    for number in range(kills):
        # Most of a run's time is its start; half of the moments lie where it saves and steps.
        after = whole * rng.uniform(0.2, 0.9)
        print(f"kill {number + 1}: {kill_after(runs.command(photos, killed, **changes), after)}")
    check(runs.run(photos, killed, **changes))
    differing = runs.differing(alone, killed)
    differing += [w for w in WEIGHTS if (alone / w).read_bytes() != (killed / w).read_bytes()]
    return differing


def kill_after(command: list[str], seconds: float) -> str:
    """Start a command and kill its process group after `seconds`; says what it was doing."""
    process = subprocess.Popen(
        command, cwd=runs.ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    said = process.communicate()[1].strip().splitlines()
    return f"after {seconds:.1f} s, last line: {said[-1] if said else 'none'}"


def check(done: subprocess.CompletedProcess) -> None:
    if done.returncode:
        raise RuntimeError(f"the run failed: {done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        differing = compare(Path(folder), arguments.kills, arguments.seed)
    print(f"differing after {arguments.kills} kills: {differing or 'nothing'}")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
