"""Kill a run with SIGKILL at random moments, resume it each time, compare it with one left alone.

    python tests/kill_and_resume.py --kills 10

Exit code 0 when every array of the final states (parameters, both optimizers, moving average,
batch statistics) is the same bit for bit, and the weights files are.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import runs

# Long enough that ten kills fall into both stages.
LONG = {"pixel__steps": 60, "gan__steps": 60}
WEIGHTS = ("pixel.safetensors", "gan.safetensors", "best.safetensors")


def compare(folder: Path, kills: int, seed: int = 0, **changes) -> list[str]:
    """Names of what differs between a run left alone and one killed `kills` times."""
    photos = runs.make_photos(folder / "photos")
    alone, killed = folder / "alone", folder / "killed"
    check(runs.run(photos, alone, **changes))
    rng = random.Random(seed)
    for number in range(kills):
        said = kill_within(runs.command(photos, killed, **changes), rng.uniform(0.0, 3.0))
        print(f"kill {number + 1} of {kills}: {said}", flush=True)
    check(runs.run(photos, killed, **changes))
    differing = runs.differing(alone, killed)
    differing += [w for w in WEIGHTS if (alone / w).read_bytes() != (killed / w).read_bytes()]
    return differing


def kill_within(command: list[str], seconds: float) -> str:
    """Start a run and kill its process group `seconds` after its first step; its last words."""
    process = subprocess.Popen(
        command,
        cwd=runs.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "step/s" in line:
            break
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    lines += process.stderr.readlines()
    process.stderr.close()
    process.wait()
    return lines[-1][:60].strip()


def check(done: subprocess.CompletedProcess) -> None:
    if done.returncode:
        raise RuntimeError(f"the run failed: {done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        differing = compare(Path(folder), arguments.kills, arguments.seed, **LONG)
    print(f"differing after {arguments.kills} kills: {differing or 'nothing'}")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
