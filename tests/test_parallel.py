"""What a process makes of its processor; the rest is in test_processes.py and test_train.py."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
os.sched_getaffinity = lambda _process: range(4)
from jsr import parallel
parallel.setup(False, {examples})
import jax
print(jax.device_count())
"""


@pytest.mark.parametrize(
    ("examples", "environment", "devices"),
    [
        (6, {}, 3),
        (1, {}, 1),
        (8, {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, 2),
        (8, {"JAX_NUM_CPU_DEVICES": "8"}, 8),
        # Processes of one launch have one each.
        (8, {"JAX_COORDINATOR_ADDRESS": "localhost:1"}, 1),
    ],
)
def test_a_processor_is_a_device_a_core_as_far_as_the_batch_allows(examples, environment, devices):
    program = PROGRAM.format(examples=examples)
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "XLA_FLAGS": "", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{devices}\n"
