import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import jax, jax.numpy as jnp
from jsr import parallel
parallel.setup(deterministic=False)

def cumulate(x):
    # Several loops, with arrays of x's size between them.
    return jnp.cumsum(jnp.cumsum(x, 0), 1).sum()

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

program, x = jax.jit(cumulate), jnp.ones((4096, 4096))
for _ in range(12):
    program(x).block_until_ready()
before = pages()
for _ in range(6):
    program(x).block_until_ready()
print(pages() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can keep its memory")
def test_a_program_s_temporary_arrays_are_seldom_taken_from_the_system_again():
    words = [sys.executable, "-c", PROGRAM]
    cleared = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    # Arrays of 64 MB, three at each of six calls, would be 300,000 pages.
    assert cleared < 150_000


COMMAND = """
import runpy, sys
from jsr import heap
heap.keep = lambda: print("kept")
sys.argv = ["upscale"]
runpy.run_module("jsr.upscale", run_name=sys.stdin.read())
"""


@pytest.mark.parametrize(("name", "kept"), [("__main__", "kept\n"), ("jsr.upscale", "")])
def test_enlarging_keeps_memory_where_the_process_is_the_command_s_own(name, kept):
    words = [sys.executable, "-c", COMMAND]
    assert subprocess.run(words, input=name, capture_output=True, text=True).stdout == kept
