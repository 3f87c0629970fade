"""Find the backend, or start it: the server that does what Blender's own Python must not."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from .client import Backend, BackendError, NoBackend, data_folder, find_server
from .errors import AddonError

START_TIME = 60.0
"""Longest time in s that a backend may take to start."""
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Access:
    """How the user wants the backend to be reached; read from the preferences on the main thread."""

    url: str = ""
    """Address of a backend that was started elsewhere; empty: this machine's."""
    token: str = ""
    python: str = ""
    """Python in which the backend is installed; empty: look for it."""
    online: bool = False
    """Whether Blender may use the network beyond this machine."""

    @property
    def remote(self) -> bool:
        """Whether files have to be sent: the backend may not see this machine's disk."""
        return bool(self.url)


def connect(access: Access) -> Backend:
    """Return the backend that answers now. Raise NoBackend, BackendError, AddonError."""
    if access.remote:
        host = urllib.parse.urlsplit(access.url).hostname
        if host not in LOCAL and not access.online:
            raise AddonError("Blender's online access is off (Preferences > System > Network), so the backend at "
                             f"{access.url} is not asked. Allow it, or clear the address.")
        backend = Backend(access.url.rstrip("/"), access.token)
        backend.info()
        return backend
    backend = find_server()
    if backend is None:
        raise NoBackend("The backend is not running.")
    return backend


def ensure(access: Access) -> Backend:
    """Return the backend, started on this machine if it is not running. Raise BackendError, AddonError."""
    try:
        return connect(access)
    except NoBackend:
        if access.remote:
            raise
    return start(access)


def start(access: Access) -> Backend:
    """Start the backend as a process that outlives Blender, and wait until it answers. Raise AddonError."""
    command = server_command(access.python)
    log = data_folder() / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    apart = {"start_new_session": True} if os.name == "posix" else {
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       cwd=log.parent, **apart)
    except OSError as error:
        raise AddonError(f"'{command[0]}' cannot be run: {error.strerror}. Correct the backend's Python in the "
                         "preferences.") from error
    deadline = time.monotonic() + START_TIME
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        backend = find_server()
        if backend:
            return backend
        if ended:
            raise AddonError(f"The backend did not start: {_last_line(log)} (all of it: {log})")
        time.sleep(0.2)
    raise AddonError(f"The backend was started but does not answer after {START_TIME:.0f} s. See {log}")


def server_command(python: str = "") -> list[str]:
    """Return the command that starts the backend: by the given Python, by SFV_PYTHON, or the `sfv` on PATH."""
    chosen = python or os.environ.get("SFV_PYTHON", "")
    if chosen:
        if not Path(chosen).is_file():
            raise AddonError(f"There is no Python at '{chosen}'. Correct the backend's Python in the preferences.")
        return [chosen, "-m", "sfv_core", "serve"]
    program = shutil.which("sfv")
    if program is None:
        raise AddonError("The backend is not installed. Install it (pip install 'sfv[pose,physics,server]') in a "
                         "Python of its own and name that Python in the add-on's preferences.")
    return [program, "serve"]


def describe(access: Access) -> str:
    """Return one line on the backend that answers now. Raise BackendError, AddonError."""
    info = connect(access).info()
    where = access.url if access.remote else "this machine"
    return f"Backend {info['version']} on {where}" + (f", {info['gpu']}" if info.get("gpu") else "")


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing."


__all__ = ["Access", "Backend", "BackendError", "NoBackend", "connect", "describe", "ensure", "server_command", "start"]
