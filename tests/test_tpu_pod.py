"""launch/tpu_pod.sh with a gcloud that writes down its calls, and workers that are folders here."""

import os
import shutil
import signal
import subprocess
import time

import pytest
import runs

GCLOUD = r"""#!/bin/bash
# The TPU has two workers; states as Google's queue says them.
echo "$*" >> "$CLOUD/calls"
case "$3 $4" in
    "queued-resources describe")
        cat "$CLOUD/queue" || exit 1
        if grep -q WAITING "$CLOUD/queue"; then echo ACTIVE > "$CLOUD/queue"; fi ;;
    "tpu-vm describe") echo READY ;;
    "queued-resources create")
        echo WAITING_FOR_RESOURCES > "$CLOUD/queue"
        for worker in w0 w1; do
            mkdir -p "$CLOUD/$worker/jsr/.venv/bin"
            cp "$CLOUD/python" "$CLOUD/$worker/jsr/.venv/bin/python"
            cp "$CLOUD/../checkout/launch/requirements.lock" "$CLOUD/$worker/jsr/.venv/.jsr-lock"
            touch "$CLOUD/$worker/jsr/.venv/.jsr-tpu"
        done ;;
    "queued-resources delete")
        rm "$CLOUD/queue"
        # Something may still write there.
        for worker in w0 w1; do mv "$CLOUD/$worker" "$CLOUD/gone-$$-$worker"; done ;;
    "tpu-vm scp") cp "$5" "$CLOUD/w0/jsr.tgz"; cp "$5" "$CLOUD/w1/jsr.tgz" ;;
    "tpu-vm ssh")
        grep -q ACTIVE "$CLOUD/queue" || exit 255
        workers=w0
        if [ "$6" = --worker=all ]; then workers="w0 w1"; fi
        for worker in $workers; do
            (cd "$CLOUD/$worker" && bash -c "${7#--command=}") || exit
        done ;;
esac
"""
# In place of jsr.main: each run on worker 0 does the next line of the plan.
PYTHON = r"""#!/bin/bash
case $PWD in */w0/*) ;; *) exit ;; esac
echo "$JAX_COORDINATOR_ADDRESS: $*"
plan=$(head -n 1 "$CLOUD/plan")
sed -i 1d "$CLOUD/plan"
case $plan in
    preempted) echo SUSPENDED > "$CLOUD/queue"; kill -KILL $PPID ;;
    maintained) echo "stopped at step 7: rerun the same command to go on" ;;
    until_stopped) trap 'echo "stopped at step 9: rerun"; exit 0' TERM; sleep 60 & wait ;;
    *) exit "$plan" ;;
esac
"""
TPU = ("--name", "pod", "--zone", "z", "--type", "v5litepod-16", "--project", "p")
MAIN = ("--config", "configs/srgan.py:a,b", "--workdir", "/mnt/the runs")
WHERE = "--zone=z --project=p --quiet"


@pytest.fixture
def cloud(tmp_path):
    """A checkout beside an empty cloud."""
    cloud = tmp_path / "cloud"
    (cloud / "bin").mkdir(parents=True)
    shutil.copytree(runs.ROOT / "launch", tmp_path / "checkout/launch")
    programs = {"bin/gcloud": GCLOUD, "python": PYTHON, "bin/sudo": "#!/bin/bash\nexit\n"}
    for name, text in programs.items():
        (cloud / name).write_text(text)
        (cloud / name).chmod(0o755)
    return cloud


def start(cloud, *words):
    environment = {**os.environ, "PATH": f"{cloud}/bin:{os.environ['PATH']}", "POLL": "0.1"}
    return subprocess.Popen(
        ["bash", str(cloud.parent / "checkout/launch/tpu_pod.sh"), *words],
        env={**environment, "CLOUD": str(cloud), "TMPDIR": str(cloud)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def launch(cloud, plan, *words):
    (cloud / "plan").write_text("\n".join(plan.split()) + "\n")
    process = start(cloud, *words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def verbs(cloud) -> list[str]:
    """What was asked of gcloud, in short; a command of several lines is one call."""
    calls = (cloud / "calls").read_text().splitlines()
    names = [" ".join(call.split()[3:4]) for call in calls if call.startswith("compute tpus ")]
    workers = [call for call in calls if call.startswith("compute tpus tpu-vm ssh")]
    assert all("--worker=all" in call or "--worker=0" in call for call in workers)
    return [name for name in names if name != "describe"]


TRAINED = ["ssh", "scp", "ssh", "ssh", "ssh", "ssh"]  # running? copy, set up, start, follow, code


def test_a_run_creates_trains_and_deletes(cloud):
    code, out, err = launch(cloud, "0", *TPU, "--spot", "--setup", "touch ../mounted", *MAIN)
    assert (code, out.count("auto: ")) == (0, 1), err
    # The log of worker 0.
    assert "auto: -m jsr.main --config configs/srgan.py:a,b --workdir /mnt/the runs\n" in out
    assert "TPU pod: ABSENT\nTPU pod: WAITING_FOR_RESOURCES\n" in out
    calls = (cloud / "calls").read_text()
    assert (
        "compute tpus queued-resources create pod --node-id=pod --accelerator-type=v5litepod-16"
        f" --runtime-version=v2-alpha-tpuv5-lite --spot {WHERE}\n"
    ) in calls
    assert (
        f"compute tpus tpu-vm scp {cloud}/jsr-pod.tgz pod:jsr.tgz --worker=all {WHERE}\n" in calls
    )
    assert (
        "compute tpus tpu-vm ssh pod --worker=all --command=bash jsr/launch/tpu_worker.sh"
        rf" --config configs/srgan.py:a\,b --workdir /mnt/the\ runs {WHERE}" + "\n"
    ) in calls
    assert f"compute tpus queued-resources delete pod --force {WHERE}\n" in calls
    assert verbs(cloud) == ["create", *TRAINED, "delete"]
    assert not (cloud / "jsr-pod.tgz").exists()


def test_a_preempted_run_goes_on(cloud):
    code, out, err = launch(cloud, "preempted 0", *TPU, "--spot", *MAIN)
    assert code == 0, err
    assert "the run was interrupted and goes on" in out
    assert (cloud / "plan").read_text() == ""
    again = ["delete", "create"]
    assert verbs(cloud) == ["create", *TRAINED, *again, *TRAINED, "delete"]


def test_a_stop_that_was_not_asked_for_goes_on_in_the_same_tpu(cloud):
    code, _, err = launch(cloud, "maintained 0", *TPU, *MAIN)
    assert code == 0, err
    assert verbs(cloud) == ["create", *TRAINED, *TRAINED, "delete"]


@pytest.mark.parametrize("exit_code", [1, 2])
def test_a_failure_ends_it_and_keep_keeps(cloud, exit_code):
    code, _, err = launch(cloud, str(exit_code), *TPU, "--keep", *MAIN)
    assert code == exit_code, err
    assert verbs(cloud) == ["create", *TRAINED]
    code, _, _ = launch(cloud, "", "--name", "pod", "--zone", "z", "--delete")
    assert code == 0 and verbs(cloud)[-1] == "delete"


def test_a_signal_saves_and_deletes_and_a_lost_run_is_followed_again(cloud):
    (cloud / "plan").write_text("until_stopped\n")

    def trains():
        process = start(cloud, *TPU, *MAIN)
        line = ""
        while not line.startswith("auto: "):
            line = process.stdout.readline()
            assert line, process.communicate()
        return process

    lost = trains()
    os.killpg(lost.pid, signal.SIGKILL)
    lost.communicate()
    before = len(verbs(cloud))
    process = trains()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "stopped at step 9" in out
    # running? follow, kill, code
    assert verbs(cloud)[before:] == ["ssh", "ssh", "ssh", "ssh", "delete"]


def test_dry_run_prints_the_calls_and_makes_none(cloud):
    code, out, err = launch(cloud, "", "--dry-run", *TPU, *MAIN)
    assert code == 0, err
    assert not (cloud / "calls").exists()
    lines = out.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("gcloud compute tpus ") for line in lines)
    assert [line.split()[4] for line in lines] == ["create", "scp", *["ssh"] * 4, "delete"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--zone", "z"], "name the TPU and its zone: --name NAME --zone ZONE"),
        (["--name"], "--name needs a value"),
        (["--name", "n", "--zone", "z"], "name the TPU's type: --type v5litepod-16"),
        (TPU, "what to train is missing: --config FILE"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(cloud, words, told):
    code, out, err = launch(cloud, "", *words)
    assert (code, out, err) == (2, "", f"error: {told}\n")
    assert not (cloud / "calls").exists()
