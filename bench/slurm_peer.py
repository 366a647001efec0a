"""Slurm on loopback from a temporary folder, for `bench/slurm`: munged, slurmctld and slurmd, ended with the block.

One node with eight simulated GPUs (empty files for devices) and more CPUs than the machine has (`config_overrides`).
Everything that concerns scheduling is as Slurm comes, but for `MaxJobCount`, which is 10,000 and has to hold more.
No accounting, no cgroups: nothing is switched on that would slow it down. It needs root.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import quiet_port

GPUS = 8
READY_SECONDS = 30.0
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")

CONFIGURATION = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MaxJobCount=30000
MaxArraySize=20001
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
NodeName={host} NodeAddr=127.0.0.1 Port={daemon} CPUs=64 RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def missing() -> str | None:
    """Why Slurm can't be measured here; None where it can."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        return f"Slurm is not installed ({', '.join(absent)} missing; Debian: apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "Slurm's daemons are started by root only"


class Slurm:
    """A cluster of one node. Its commands are told by `environment` where it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["PATH"] += ":/usr/sbin"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Return when the node takes jobs. Raises RuntimeError with what the daemons said where it does not."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        ports = {"controller": quiet_port(), "daemon": quiet_port()}
        filled = CONFIGURATION.format(host=socket.gethostname(), folder=self.folder, gpus=GPUS, **ports)
        (self.folder / "slurm.conf").write_text(filled)
        for number in range(GPUS):
            (self.folder / f"gpu{number}").touch()
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        at = self.folder
        munged = ["munged", "--foreground", "--force", f"--socket={at}/munge.socket", f"--key-file={key}"]
        munged += [f"--log-file={at}/munged.log", f"--pid-file={at}/munged.pid", f"--seed-file={at}/munged.seed"]
        self._spawn("munged", munged)
        self._until(lambda: (self.folder / "munge.socket").exists())
        self._spawn("slurmctld", ["slurmctld", "-D"])
        self._spawn("slurmd", ["slurmd", "-D"])
        self._until(lambda: self.tell("sinfo", "-h", "-o", "%T", check=False) == "idle")

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / f"{name}.out").open("wb") as out:
            started = subprocess.Popen(
                command, env=self.environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._running.append(started)

    def _until(self, ready: object) -> None:
        assert callable(ready)
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if time.monotonic() > deadline or any(one.poll() is not None for one in self._running):
                said = "\n".join(out.read_text()[-600:] for out in sorted(self.folder.glob("*.out")))
                raise RuntimeError(f"Slurm does not start:\n{said}")
            time.sleep(0.05)

    def tell(self, *command: str, check: bool = True) -> str:
        """What a command of Slurm says."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=check)
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> None:
        """One `sbatch` of a job with one GPU."""
        wrapped = ["--gres=gpu:1", "--ntasks=1", "--output=/dev/null", f"--chdir={self.folder}", *options]
        self.tell("sbatch", *wrapped, f"--wrap={script}")

    def stop(self) -> None:
        """End jobs and daemons, the node's last."""
        if len(self._running) == 3 and self._running[1].poll() is None:
            self.tell("scancel", "--user=root", check=False)
        for one in reversed(self._running):
            one.terminate()
        for one in self._running:
            one.wait(20)


@contextmanager
def slurm() -> Iterator[Slurm]:
    """A running one, of which nothing is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="modelyard-slurm-"))
    made = Slurm(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
