"""A scheduler and workers of Dask on this machine, started by the commands of docs/cluster.md, and struck."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from repository import ROOT
from tune_runner import until

DASK = [sys.executable, "-m", "dask"]


class Process:
    """One command, in a group of its own."""

    def __init__(self, words, log: Path) -> None:
        # What runs there imports runners from the tests.
        paths = os.pathsep.join([str(ROOT / ".typing"), str(ROOT / "tests")])
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*DASK, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": paths},
            )
        self.log = log

    def strike(self, name: str) -> None:
        """Send a signal to all of it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, getattr(signal, name))

    def end(self) -> None:
        self.strike("SIGKILL")
        self._process.wait()

    def until_it_says(self, words: str) -> None:
        until(lambda: words in self.log.read_text() or self._process.poll() is not None, 60)
        assert words in self.log.read_text(), self.log.read_text()


class DaskCluster:
    """Starts processes in a folder, and ends all of them.

    Members:
        address: of the scheduler, whether it runs or not.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"

    def _started(self, *words: str) -> Process:
        log = self._folder / f"{len(list(self._folder.glob('*.log')))}.log"
        process = Process(words, log)
        self._stack.callback(process.end)
        return process

    def scheduler(self) -> Process:
        process = self._started(
            "scheduler", "--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard"
        )
        process.until_it_says("Scheduler at:")
        return process

    def worker(self, resources: str) -> Process:
        folder = ("--local-directory", str(self._folder))
        process = self._started("worker", self.address, "--resources", resources, *folder, "--no-dashboard")
        process.until_it_says("Starting established connection")
        return process


@contextmanager
def dask_cluster(folder: Path):
    with ExitStack() as stack:
        yield DaskCluster(folder, stack)
