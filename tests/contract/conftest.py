"""A real server for the add-on's real client."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load_client() -> ModuleType:
    """Import the client by its path: the package around it needs Blender, the client itself must not."""
    spec = importlib.util.spec_from_file_location("sfv_client", ROOT / "blender_addon" / "client.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sfv_client"] = module
    spec.loader.exec_module(module)
    return module


client = load_client()


class Server:
    """`sfv serve` in a process of its own, with a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.options: tuple[str, ...] = ()
        self.environment = {**os.environ, "SFV_DATA": str(data), "PYTHONPATH": str(ROOT)}
        self.environment.pop("SFV_JOBS", None)
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> client.Backend:
        """Start it, and return the client that server.json leads to."""
        self.options = options or self.options
        self.process = subprocess.Popen([sys.executable, "-m", "sfv_core", "serve", "--json", *self.options],
                                        stdout=subprocess.PIPE, text=True, env=self.environment)
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())
        return self.backend()

    def backend(self) -> client.Backend:
        about = json.loads((self.data / "server.json").read_text())
        return client.Backend(about["url"], about["token"])

    def end(self, how: int = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server that is not started yet, which the client can find."""
    monkeypatch.setenv("SFV_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SFV_JOBS", raising=False)
    found = Server(tmp_path / "data")
    yield found
    clean_up(found)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One running server for the tests that leave it as it was, but for more jobs."""
    found = Server(tmp_path_factory.mktemp("shared") / "data")
    found.start()
    yield found
    clean_up(found)


@pytest.fixture
def backend(shared):
    """The client of the shared server."""
    return shared.backend()


def clean_up(server: Server) -> None:
    """End the server and whatever it left running."""
    if server.process is not None:
        server.end()
    for events in (server.data / "jobs").glob("*/events.jsonl"):
        events.with_name("cancel").touch()
        for pid in worker_pids(events):
            stop(pid)


def worker_pids(events: Path) -> set[int]:
    """Return the processes that worked on a job, from its events."""
    lines = [json.loads(line) for line in events.read_text().splitlines() if line.endswith("}")]
    return {line["pid"] for line in lines if "pid" in line}


def stop(pid: int) -> None:
    """Kill a worker and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
