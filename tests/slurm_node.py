"""A real Slurm of one node, this one, started by hand: munged, slurmctld and slurmd, no systemd."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "srun")
# Debian's programs of the administrator.
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job that is requeued waits until its credential has expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=60
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=30 State=UP OverSubscribe=FORCE:4
"""


def missing() -> str:
    """Why there can be no Slurm here, or nothing."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd must be root"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Node:
    """The three programs, with all that they write in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        conf = CONF.format(
            host=socket.gethostname().partition(".")[0],
            folder=folder,
            user="root",
            cpus=os.cpu_count(),
            controller_port=_free_port(),
            node_port=_free_port(),
        )
        (folder / "slurm.conf").write_text(conf)
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        own = {"key-file": key, "socket": folder / "munge.socket"}
        own |= {f"{name}-file": folder / f"munged.{name}" for name in ("pid", "log", "seed")}
        self._programs = []
        # Forced: the folder above it may be open to its owner only.
        self._start("munged", "--foreground", "--force", *(f"--{k}={v}" for k, v in own.items()))
        self._until(lambda: (folder / "munge.socket").exists(), "munged")
        self._start("slurmctld", "-D", "-c")
        self._start("slurmd", "-D")
        self._until(lambda: "idle" in self.run("sinfo", "-h", "-o", "%t").stdout, "slurmd")

    def run(self, *words, **options) -> subprocess.CompletedProcess:
        """One of Slurm's commands; stdout and stderr as text."""
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.run(words, capture_output=True, text=True, env=environment, **options)

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED ..."""
        words = self.run("scontrol", "show", "job", job).stdout.split()
        return next((w.partition("=")[2] for w in words if w.startswith("JobState=")), "")

    def close(self) -> None:
        """End the jobs, then the programs."""
        self.run("scancel", "--user", "root", "--signal", "KILL", "--full")
        for program in reversed(self._programs):
            program.terminate()
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def _start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.out").open("w") as out:
            program = subprocess.Popen(
                [shutil.which(name, path=PATH), *words],
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._programs.append(program)

    def _until(self, ready, what: str) -> None:
        end = time.monotonic() + 30
        while not ready():
            if time.monotonic() > end:
                logs = [p.read_text()[-600:] for p in sorted(self.folder.glob("*.out"))]
                self.close()
                raise RuntimeError(f"{what} does not start: {logs}")
            time.sleep(0.1)
