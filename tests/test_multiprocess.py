"""launch/multiprocess.sh with a Python that only says what it was asked."""

import os
import signal
import subprocess
import time

import pytest
import runs

# Process 0 ends as $CODE says; each stops at SIGTERM, if it was told to wait.
PYTHON = """#!/bin/bash
trap 'echo "saved $JAX_PROCESS_ID"; exit $CODE' TERM
if [ "$WAIT" = deaf ]; then trap '' TERM; fi
echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES at $JAX_COORDINATOR_ADDRESS $CUDA_VISIBLE_DEVICES: $*"
if [ -n "$WAIT" ]; then sleep 30 > /dev/null 2>&1 & wait; fi
if [ "$JAX_PROCESS_ID" = 0 ]; then exit $CODE; fi
"""


@pytest.fixture
def start(tmp_path):
    """`start(*arguments, **environment)` with two GPUs, unless told otherwise."""
    for name, text in {"python": PYTHON, "nvidia-smi": "#!/bin/bash\nprintf '0\\n1\\n'\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def start(*arguments, **environment):
        fixed = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CODE": "0", "JAX_PLATFORMS": ""}
        fixed["JSR_PYTHON"] = str(tmp_path / "python")
        inherited = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        return subprocess.Popen(
            ["bash", str(runs.ROOT / "launch/multiprocess.sh"), *arguments],
            env={**inherited, **fixed, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def lines_of(process) -> list[str]:
    out, err = process.communicate(timeout=60)
    return sorted(out.splitlines()) + err.splitlines()


def test_each_process_gets_its_number_and_its_gpu(start):
    process = start("2", "--config", "a b", JSR_PORT="7")
    expected = [f"{i} of 2 at localhost:7 {i}: -m jsr.main --config a b" for i in (0, 1)]
    assert lines_of(process) == expected
    assert process.returncode == 0


def test_the_gpus_are_those_that_are_visible(start):
    process = start("2", "x", JSR_PORT="7", CUDA_VISIBLE_DEVICES="5,3")
    assert [line.split()[5] for line in lines_of(process)] == ["5:", "3:"]


def test_one_process_has_all_gpus_and_cpus_have_none(start):
    assert "CUDA" not in lines_of(start("1", "--dry-run", "x"))[0]
    assert "CUDA" not in lines_of(start("3", "--dry-run", "x", JAX_PLATFORMS="cpu"))[0]


@pytest.mark.parametrize("code", [1, 2])
def test_the_exit_code_is_the_highest(start, code):
    process = start("2", "x", CODE=str(code))
    process.communicate(timeout=60)
    assert process.returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_comes_to_all_and_all_are_waited_for(start, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("started in a shell's background: what is ignored there no shell can trap")
    process = start("2", "x", WAIT="1")
    for _ in range(2):
        process.stdout.readline()
    process.send_signal(number)
    assert lines_of(process) == ["saved 0", "saved 1"]
    assert process.returncode == 0


def test_a_second_signal_ends_them_at_once(start):
    process = start("2", "x", WAIT="deaf")
    for _ in range(2):
        process.stdout.readline()
    # Signals that come together are one.
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("words", [("--dry-run", "2"), ("2", "--dry-run")])
def test_dry_run_prints_the_commands(start, words):
    process = start(*words, "--config", "a b", JSR_PORT="7", JSR_PYTHON="")
    expected = [
        f"env JAX_COORDINATOR_ADDRESS=localhost:7 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID={i}"
        rf" CUDA_VISIBLE_DEVICES={i} .venv/bin/python -m jsr.main --config a\ b "
        for i in (0, 1)
    ]
    assert lines_of(process) == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected a number of processes"),
        (["none"], "expected a number of processes"),
        (["0"], "expected a number of processes"),
        (["3", "--config", "x"], "3 processes, but 2 GPU(s)"),
    ],
)
def test_mistakes_are_one_line(start, words, told):
    process = start(*words)
    (line,) = lines_of(process)
    assert process.returncode == 2 and line.startswith(f"error: {told}")
