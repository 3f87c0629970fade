"""Talk to the backend over HTTP: standard library only, no bpy. The wire is described in docs/protocol.md."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAJOR_VERSION = 0
"""The backends this client understands: those whose version begins with this number."""
ENDED = ("done", "failed", "cancelled", "crashed")
WAIT = 20.0
"""How long a request for events may be held open by the server, in s."""
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business with 127.0.0.1


class BackendError(Exception):
    """The backend refused; the text is shown to the user."""


class NoBackend(BackendError):
    """The backend cannot be reached, or it is one that we cannot talk to."""


@dataclass(frozen=True)
class Backend:
    """A server and the right to use it. Methods raise BackendError."""

    url: str
    """Where the server is, such as http://127.0.0.1:41234."""
    token: str

    def info(self) -> dict[str, Any]:
        """Return version, gpu, extras and max_upload (bytes); refuse another major version."""
        info = self._call("GET", "/v1/info")
        version = str(info.get("version"))
        if version.split(".")[0] != str(MAJOR_VERSION):
            raise NoBackend(f"The backend at {self.url} is version {version}; this add-on needs {MAJOR_VERSION}.x. "
                            "Update the older of the two.")
        return info

    def submit(self, config: dict[str, Any], job_id: str | None = None) -> str:
        """Ask for a job and return its id; with the same `job_id`, a repeat after a lost answer is harmless."""
        job_id = job_id or str(uuid.uuid4())
        return self._call("POST", f"/v1/jobs?id={urllib.parse.quote(job_id, safe='')}", config)["id"]

    def jobs(self) -> list[dict[str, Any]]:
        """Return id, name, state and time of creation of every job."""
        return self._call("GET", "/v1/jobs")

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job's state, stage, config, error and artifacts (name → bytes)."""
        return self._call("GET", _path(job_id))

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        self._call("POST", _path(job_id, "cancel"))

    def resume(self, job_id: str) -> None:
        """Let a failed, cancelled or crashed job go on from where it was."""
        self._call("POST", _path(job_id, "resume"))

    def refine(self, job_id: str, pins: dict[str, Any]) -> dict[str, Any]:
        """Solve the job's captured motion again around pins; return what was done."""
        return self._call("POST", _path(job_id, "refine"), pins, timeout=120)

    def events(self, job_id: str, after: int = 0, wait: float = 0.0) -> list[dict[str, Any]]:
        """Return events past the cursor `after`; wait up to `wait` s for the first one."""
        return self._call("GET", _path(job_id, "events") + f"?after={after}&wait={wait:g}", timeout=wait + 20)

    def watch(self, job_id: str, after: int = 0, patience: float = 30.0) -> Iterator[dict[str, Any]]:
        """Yield the job's events past the cursor until it ends; the last one says how.

        A lost connection is asked again for `patience` s; a local server that was started anew is found again.
        A worker that died without a word writes no event: then the last one is made here, with the state `crashed`.
        """
        backend, lost, local = self, None, _read_server_file() == self
        while True:
            try:
                found = backend.events(job_id, after, WAIT)
                if not found and (job := backend.job(job_id))["state"] in ENDED:
                    found = backend.events(job_id, after)  # it may have ended between the two questions
                    if not found:
                        yield {"kind": "state", "state": job["state"], "error": job["error"], "cursor": after}
                        return
                lost = None
            except BackendError as error:
                renewed = _read_server_file() if local else None
                moved = renewed not in (None, backend)
                lost = lost or time.monotonic()
                if not (moved or isinstance(error, NoBackend)) or time.monotonic() - lost > patience:
                    raise
                backend = renewed or backend
                time.sleep(0.5)
                continue
            for event in found:
                after = event["cursor"]
                yield event
            if found and found[-1]["kind"] == "state" and found[-1]["state"] in ENDED:
                return

    def upload(self, path: Path | str) -> str:
        """Send a video to a backend on another machine; return what to give as the job's `video`."""
        path, limit = Path(path), self.info()["max_upload"]
        try:
            size = path.stat().st_size
            if size > limit:
                raise BackendError(f"'{path}' has {size / 2**20:.0f} MiB, larger than the backend takes "
                                   f"({limit / 2**20:.0f} MiB). Shorten it, or start the backend with --max-upload.")
            with path.open("rb") as file:
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
                return "sha256:" + self._call("POST", "/v1/videos", file, headers, timeout=600)["sha256"]
        except OSError as error:
            raise BackendError(f"Cannot read the video '{path}': {error.strerror}.") from error

    def download(self, job_id: str, name: str, target: Path | str) -> Path:
        """Fetch an artifact into a file, which appears whole or not at all."""
        target = Path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{uuid.uuid4().hex}.{target.name}")
        try:
            with self._open("GET", _path(job_id, "artifacts", name), None, {}, 60) as reply, \
                    temporary.open("wb") as file:
                expected = int(reply.headers["Content-Length"])
                while part := reply.read(1 << 20):
                    file.write(part)
                if file.tell() != expected:
                    raise NoBackend(f"'{name}' broke off after {file.tell()} of {expected} bytes. Try again.")
            temporary.replace(target)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise NoBackend(f"The connection to {self.url} broke while '{name}' was read: {error}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None,
              timeout: float = 20.0) -> Any:
        """Send a request, with a file or an object to be sent as JSON; return the JSON of the answer."""
        if body is not None and headers is None:
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        try:
            with self._open(method, path, body, headers or {}, timeout) as reply:
                return json.load(reply)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise NoBackend(f"The connection to {self.url} broke: {error}.") from error
        except ValueError as error:
            raise NoBackend(f"What answers at {self.url} is not this backend: it does not speak JSON.") from error

    def _open(self, method: str, path: str, body: Any, headers: dict[str, str], timeout: float) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        try:
            request = urllib.request.Request(self.url + path, body, headers, method=method)
            return _opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise BackendError(_detail(error)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise NoBackend(f"No backend answers at {self.url} ({reason}). Start it.") from error


def find_server() -> Backend | None:
    """Return this user's running server on this machine, if there is one that we can talk to."""
    backend = _read_server_file()
    if backend is None:
        return None
    try:
        backend.info()
    except NoBackend as error:
        if "version" in str(error):
            raise
        return None
    except BackendError:
        return None
    return backend


def data_folder() -> Path:
    """Return the folder where the server writes server.json: SFV_DATA, else the system's place for a user's data.

    The backend asks platformdirs (`user_data_path("sfv", appauthor=False)`); these are the same places.
    """
    if os.environ.get("SFV_DATA"):
        return Path(os.environ["SFV_DATA"]).absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sfv"
    given = Path(os.environ.get("XDG_DATA_HOME", "").strip())
    if given.is_absolute():
        return given / "sfv"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sfv"
    return Path.home() / ".local" / "share" / "sfv"


def _read_server_file() -> Backend | None:
    try:
        about = json.loads((data_folder() / "server.json").read_text(encoding="utf-8"))
        return Backend(str(about["url"]), str(about["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(job_id: str, *parts: str) -> str:
    return "/".join(["/v1/jobs", *(urllib.parse.quote(part, safe="") for part in (job_id, *parts))])


def _detail(error: urllib.error.HTTPError) -> str:
    """Return the server's words for the user."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"The backend answered {error.code} {error.reason}."
