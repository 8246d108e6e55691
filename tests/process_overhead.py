"""What two processes on one host cost: a step of theirs against one process with two devices.

    python tests/process_overhead.py [ROUNDS]

The pixel stage of configs/srgan.py by A B A B, three rounds by default; of each turn the median
over means of ten steps, and the ratio of a round.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOGGED = 10
CONFIG = {"stages": "('pixel',)", "pixel.steps": 160, "log_every": LOGGED}
CONFIG |= {"eval_every": 1000, "save_every": 1000}
# Lines before the first that is counted: the program is compiled, and memory found.
WARM = 3


def step_ms(processes: int) -> float:
    """Milliseconds a step of `processes` that share two devices."""
    devices = f"--xla_force_host_platform_device_count={2 // processes}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": devices, "PYTHONUNBUFFERED": "1"}
    if processes > 1:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        env |= {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(processes)}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "jsr.main", "--config", "configs/srgan.py"]
        words += [f"--config.{key}={value}" for key, value in CONFIG.items()]
        words += ["--workdir", f"{folder}/run"]
        runs = [
            subprocess.Popen(
                words,
                cwd=ROOT,
                env=env | ({"JAX_PROCESS_ID": str(i)} if processes > 1 else {}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if i else subprocess.PIPE,
                text=True,
            )
            for i in range(processes)
        ]
        said, stamps = [], []
        for line in runs[0].stderr:
            said.append(line)
            stamps += [time.perf_counter()] if re.search(r"step \d+/", line) else []
        if any([run.wait() for run in runs]):
            raise SystemExit("".join(said))
    turns = zip(stamps[WARM:], stamps[WARM + 1 :], strict=False)
    return statistics.median(1e3 * (after - before) / LOGGED for before, after in turns)


if __name__ == "__main__":
    for _ in range(int(sys.argv[1]) if sys.argv[1:] else 3):
        one, two = step_ms(1), step_ms(2)
        print(f"one process {one:.1f} ms, two {two:.1f} ms, ratio {two / one:.3f}", flush=True)
