"""The set-up commands, with a Python that only says what it was asked."""

import os
import shutil
import subprocess
import sys

import pytest
import runs

ECHO = '#!/bin/bash\nprintf "%s\\n" "$*"\n'


@pytest.fixture
def clone(tmp_path):
    """A clone whose .venv is up to date."""
    for name in ("launch", "tests"):
        (tmp_path / name).mkdir()
    for name in ("launch/local.sh", "launch/environment.sh", "launch/requirements.lock"):
        shutil.copy(runs.ROOT / name, tmp_path / name)
    shutil.copy(runs.ROOT / "tests/run.sh", tmp_path / "tests/run.sh")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(runs.ROOT / "launch/requirements.lock", tmp_path / ".venv" / ".jsr-lock")
    for name in ("python", "ruff"):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(ECHO)
        program.chmod(0o755)
    return tmp_path


def run(*words, cwd=None, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], "-m jsr.main --config configs/srgan.py"),
        (["--workdir", "W"], "-m jsr.main --config configs/srgan.py --workdir W"),
        (["--config", "configs/srresnet.py"], "-m jsr.main --config configs/srresnet.py"),
        (["--config=a b.py"], "-m jsr.main --config=a b.py"),
        (["--config.seed", "1"], "-m jsr.main --config configs/srgan.py --config.seed 1"),
    ],
)
def test_local_runs_the_main_job_and_passes_arguments(clone, arguments, asked):
    done = run("bash", str(clone / "launch/local.sh"), *arguments)
    assert done.stdout.strip() == asked, done.stderr


def test_run_lints_then_tests(clone):
    done = run("bash", str(clone / "tests/run.sh"), "-k", "x")
    command = "-m pytest --numprocesses auto --maxprocesses 4 --dist loadfile -k x"
    assert done.stdout.splitlines()[-1] == command
    assert "check --quiet ." in done.stdout


def test_a_changed_lock_makes_the_environment_anew(clone):
    (clone / "launch" / "requirements.lock").write_text("no-such-package-of-that-name==0\n")
    fake = clone / "python3"
    fake.write_text('#!/bin/bash\necho "$*" >>"$LOG"\n[[ "$*" != *venv* ]]\n')
    fake.chmod(0o755)
    log = clone / "log"
    done = run("bash", str(clone / "launch/local.sh"), PYTHON=str(fake), LOG=str(log))
    assert done.returncode != 0
    assert "-m venv --clear .venv" in log.read_text()


def test_jax_for_a_device_is_added_once(clone):
    local = str(clone / "launch/local.sh")
    lines = run("bash", local, JSR_EXTRA="tpu").stdout.splitlines()
    pip = "-m pip install --quiet --disable-pip-version-check -c launch/requirements.lock -e .[tpu]"
    assert lines == [pip, "-m jsr.main --config configs/srgan.py"]
    assert run("bash", local, JSR_EXTRA="tpu").stdout.splitlines() == lines[1:]
    done = run("bash", local, JSR_EXTRA="npu")
    assert done.returncode == 2
    assert done.stderr == "error: JSR_EXTRA is npu: expected gpu or tpu\n"


def test_no_supported_python_is_said(clone):
    (clone / ".venv" / ".jsr-lock").write_text("")
    # Only what the script itself needs is on the path.
    tools = clone / "tools"
    tools.mkdir()
    for name in ("cmp", "dirname"):
        (tools / name).symlink_to(shutil.which(name))
    bash = shutil.which("bash")
    done = run(bash, str(clone / "launch/local.sh"), PYTHON="no-python", PATH=str(tools))
    assert done.returncode == 2
    assert done.stderr.startswith("error: Python 3.11, 3.12 or 3.13 is needed")


def test_the_lock_has_every_package_of_the_project():
    lock = (runs.ROOT / "launch" / "requirements.lock").read_text()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lock.splitlines()}
    project = (runs.ROOT / "pyproject.toml").read_text()
    block = project[project.index("dependencies = [") :]
    needed = [line.split('"')[1] for line in block[: block.index("]")].splitlines() if '"' in line]
    names = {n.split(">")[0].split("[")[0].lower().replace("_", "-") for n in needed}
    assert len(names) > 10 and names <= pinned


STUB = """#!/bin/bash
case "$*" in
    *default_backend*) echo "$BACKEND" ;;
    *"$FAILS"*) echo "error: no" >&2; exit 2 ;;
    *) printf "%s\\t" "$@"; echo ;;
esac
"""


@pytest.fixture
def gpu_bench(tmp_path):
    """launch/gpu_bench.sh, with a Python that only says what it was asked."""
    python = tmp_path / "python"
    python.write_text(STUB)
    python.chmod(0o755)

    def start(*parts, backend="gpu", fails="nothing at all"):
        script = str(runs.ROOT / "launch/gpu_bench.sh")
        environment = {"JSR_PYTHON": str(python), "BACKEND": backend, "FAILS": fails}
        return run("bash", script, str(tmp_path / "out"), *parts, **environment)

    return start


def test_the_commands_of_the_gpu_bench_are_understood(gpu_bench):
    done = gpu_bench()
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip("\t").split("\t") for line in done.stdout.splitlines() if "\t" in line]
    asked = [line for line in lines if line[:2] == ["-m", "jsr.bench"]]
    assert len(asked) > 15 and ["-m", "pytest"] in [line[:2] for line in lines]
    for words in asked:
        # Flags and config are read before this mistake is told.
        wrong = run(sys.executable, *words, "--against", "no", cwd=runs.ROOT)
        assert wrong.stderr.startswith("error: --against no: expected"), (words, wrong.stderr)


def test_a_part_of_the_gpu_bench_that_fails_is_named(gpu_bench, tmp_path):
    done = gpu_bench("mfu", "infer", fails="mfu_rrdb_b32_hr256")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no\nfailed: mfu_rrdb_b32_hr256 (see ")
    assert "infer_rrdb_bf16" in (tmp_path / "out" / "table.txt").read_text()


def test_the_gpu_bench_wants_a_gpu_and_known_parts(gpu_bench):
    done = gpu_bench(backend="cpu")
    assert done.returncode == 2 and "sees no GPU" in done.stderr
    done = gpu_bench("speed")
    assert done.returncode == 2 and done.stderr.startswith("error: there is no part speed;")
