"""launch/slurm.sh: what it would run; in a real Slurm, two tasks that train and are requeued."""

import json
import os
import subprocess
import sys
import time

import pytest
import runs
import slurm_node

SCRIPT = str(runs.ROOT / "launch/slurm.sh")


def bash(*words, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        ["bash", *words], cwd=runs.ROOT, capture_output=True, text=True, env=environment
    )


def test_it_prints_what_it_would_run():
    done = bash(SCRIPT, "--dry-run", "--config", "configs/srgan.py", "--workdir", "a b")
    assert done.returncode == 0, done.stderr
    *options, command = done.stdout.splitlines()
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:USR1@120"} <= set(options)
    assert command.strip() == (
        "srun --kill-on-bad-exit=1 env JAX_COORDINATOR_ADDRESS=FIRST_NODE:20000"
        " JAX_NUM_PROCESSES=TASKS bash launch/slurm.sh --task"
        r" .venv/bin/python -m jsr.main --config configs/srgan.py --workdir a\ b"
    )


def test_outside_of_a_job_it_says_how_to_submit():
    done = bash(SCRIPT, "--config", "configs/srgan.py", SLURM_JOB_ID="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: not in a Slurm job: submit it by sbatch launch/slurm.sh --config FILE ...\n"
    )


def test_a_job_from_elsewhere_is_refused(tmp_path):
    done = bash(SCRIPT, SLURM_JOB_ID="7", SLURM_SUBMIT_DIR=str(tmp_path))
    assert done.returncode == 2 and "is no checkout of jsr" in done.stderr


@pytest.mark.parametrize(
    ("tasks", "nodes", "local", "gpus", "seen"),
    [
        (4, 1, 2, "0,1,2,3", "2"),
        (2, 2, 0, "0,1,2,3", "0,1,2,3"),
        (2, 1, 1, "5", "5"),
        (4, 1, 3, "0,1", None),
    ],
)
def test_a_task_sees_its_own_gpus(tasks, nodes, local, gpus, seen):
    facts = {"NTASKS": tasks, "NNODES": nodes, "LOCALID": local, "PROCID": 1}
    environment = {f"SLURM_{name}": str(value) for name, value in facts.items()}
    echo = ("bash", "-c", 'echo "$JAX_PROCESS_ID $CUDA_VISIBLE_DEVICES"')
    done = bash(SCRIPT, "--task", *echo, **environment, CUDA_VISIBLE_DEVICES=gpus)
    if seen is None:
        assert done.returncode == 2 and "more tasks than the 2 GPUs" in done.stderr
    else:
        assert done.stdout == f"1 {seen}\n"


# In a real Slurm


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    if slurm_node.missing():
        pytest.skip(slurm_node.missing())
    node = slurm_node.Node(tmp_path_factory.mktemp("slurm"))
    yield node
    node.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return runs.make_photos(tmp_path_factory.mktemp("photos"))


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


class Job:
    """A small run of two tasks, one CPU device each."""

    def __init__(self, node, photos, workdir, *options, **changes):
        self.node, self.log = node, workdir.with_suffix(".log")
        self.checkpoints = workdir / "checkpoints"
        arguments = runs.command(photos, workdir, **changes)[3:]
        environment = {"JSR_PYTHON": sys.executable, "JSR_CACHE": str(workdir.parent / "cache")}
        environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
        words = ["sbatch", "--parsable", "--ntasks-per-node=2", f"--output={self.log}", *options]
        done = node.run(*words, SCRIPT, *arguments, cwd=runs.ROOT, env=environment)
        assert done.returncode == 0, done.stderr
        self.id = done.stdout.strip()

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def until(self, text, seconds=300):
        """Return when the log holds `text`."""
        end = time.monotonic() + seconds
        while text not in self.text():
            assert time.monotonic() < end and self.node.state(self.id) not in ENDED, self.text()
            time.sleep(0.2)

    def finish(self, seconds=300):
        """The state in which the job ended."""
        end = time.monotonic() + seconds
        while (state := self.node.state(self.id)) not in ENDED:
            assert time.monotonic() < end, (state, self.text())
            time.sleep(0.2)
        return state


@pytest.mark.long
def test_two_tasks_train_through_a_requeue_and_a_time_limit(node, photos, tmp_path):
    job = Job(node, photos, tmp_path / "run", pixel__steps=8, gan__steps=4)
    job.until("step 3/12")
    assert node.run("scontrol", "requeue", job.id).returncode == 0
    job.until("resumed from step")
    job.until("step 8/12")
    # What --signal sends ahead of the limit.
    assert node.run("scancel", "--batch", "--signal=USR1", job.id).returncode == 0
    assert job.finish() == "COMPLETED", job.text()
    text = job.text()
    assert text.count("stopped at step") == text.count("resumed from step") == 2
    assert text.count("the time limit is near: the job goes back into the queue") == 1
    rows = json.loads((tmp_path / "run" / "table.json").read_text())["rows"]
    assert "gan stage" in [row["name"] for row in rows]


@pytest.mark.long
def test_a_mistake_fails_the_job(node, photos, tmp_path):
    job = Job(node, photos, tmp_path / "run", model="none")
    assert job.finish() == "FAILED"
    assert job.text().count("error: ") >= 1 and "Traceback" not in job.text()
