"""HTTP view of the job folders on 127.0.0.1, as docs/protocol.md describes it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from filelock import FileLock, Timeout
from starlette.exceptions import HTTPException as AnyHTTPException

from retarget.whole import written_whole

from . import __version__, extras, pipeline
from .config import JobConfig
from .errors import SfvError
from .jobs import ENDED, RESUMABLE, BadCursor, Conflict, Job, all_jobs, data_folder, jobs_folder
from .listing import artifacts, describe
from .progress import no_progress
from .scheduler import Scheduler
from .schema import parse

PROTOCOL = 1
HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names under which a browser or client on this machine, or at the end of an ssh tunnel, may call us."""
MAX_JSON = 1 << 20
LOOK = 0.05
"""How often a waiting request looks for news, in s: the lag of events."""
Json = dict[str, Any]
Scope = MutableMapping[str, Any]


class Guard:
    """Refuse every request that lacks the token, or that a web page made under a name of its own (DNS rebinding)."""

    def __init__(self, app: Callable[..., Awaitable[None]], token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            host = headers.get(b"host", b"").decode("latin-1")
            name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
            refusal = None
            if name.lower() not in HOSTS:
                refusal = JSONResponse({"detail": "This server answers only to 127.0.0.1 and localhost."}, 403)
            elif not secrets.compare_digest(headers.get(b"authorization", b""), self._expected):
                refusal = JSONResponse({"detail": "Wrong or missing token. The running server's is in server.json."},
                                       401, {"WWW-Authenticate": "Bearer"})
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(root: Path, videos: Path, token: str, scheduler: Scheduler, max_upload: int) -> FastAPI:
    """Build the application: jobs live in `root`, uploaded videos in `videos`."""
    app = FastAPI(title="sfv", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, token=token)
    _say_errors_plainly(app)

    def find(job_id: str) -> Job:
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", job_id) or not (root / job_id / "job.json").is_file():
            raise HTTPException(404, f"There is no job '{job_id[:64]}'.")
        return Job(root / job_id)

    @app.get("/v1/info")
    def info() -> Json:
        return {"version": __version__, "protocol": PROTOCOL, "pid": os.getpid(), "gpu": gpu(),
                "max_upload": max_upload, "extras": extras.installed()}

    @app.post("/v1/videos", status_code=201)
    async def add_video(request: Request) -> Json:
        return {"sha256": await receive_video(request, videos, max_upload)}

    @app.post("/v1/jobs", status_code=201)
    async def add_job(request: Request, id: str | None = None) -> Json:
        config = with_local_video(parse(JobConfig, await read_json(request)), videos)
        config = with_motion_of_job(config, root)
        job = await asyncio.to_thread(create_once, root, id, config)
        scheduler.look()
        return {"id": job.id}

    @app.get("/v1/jobs")
    def list_jobs() -> list[Json]:
        described = sorted(map(describe, all_jobs(root)), key=lambda job: job["created"])
        return [{key: job[key] for key in ("id", "name", "state", "created")} for job in described]

    @app.get("/v1/jobs/{job_id}")
    def show_job(job_id: str) -> Json:
        return describe(find(job_id))

    @app.get("/v1/jobs/{job_id}/events")
    async def events(request: Request, job_id: str, after: Annotated[int, Query(ge=0)] = 0,
                     wait: Annotated[float, Query(ge=0, le=60)] = 0) -> list[Json]:
        job, deadline = find(job_id), time.monotonic() + wait
        while True:
            seen, found = job.events_end(), job.events(after)
            if found or time.monotonic() >= deadline or job.status().state in ENDED:
                return found
            look_again = min(deadline, time.monotonic() + 1.0)  # a killed worker writes nothing
            while job.events_end() == seen and time.monotonic() < look_again:
                if await request.is_disconnected():
                    return []
                await asyncio.sleep(LOOK)

    @app.post("/v1/jobs/{job_id}/cancel", status_code=202)
    def cancel(job_id: str) -> Json:
        job = find(job_id)
        job.cancel()
        return {"state": job.status().state}

    @app.post("/v1/jobs/{job_id}/resume", status_code=202)
    def resume(job_id: str) -> Json:
        job = find(job_id)
        state = job.status().state
        if state not in RESUMABLE:
            raise Conflict(f"Job {job_id} is {state}; only {', '.join(RESUMABLE)} jobs can be resumed.")
        job.queue()
        scheduler.look()
        return {"state": "queued"}

    @app.post("/v1/jobs/{job_id}/refine")
    async def refine(request: Request, job_id: str) -> Json:
        job, pins = find(job_id), await read_json(request)
        return await asyncio.to_thread(refine_job, job, pins)

    @app.get("/v1/jobs/{job_id}/artifacts/{name}")
    def artifact(job_id: str, name: str) -> FileResponse:
        job = find(job_id)
        if name not in artifacts(job):
            raise HTTPException(404, f"Job {job_id} has no '{name}'. It has: {', '.join(artifacts(job)) or 'nothing'}.")
        return FileResponse(job.artifacts / name)

    return app


def create_once(root: Path, job_id: str | None, config: JobConfig) -> Job:
    """Make and queue a job; a repeated call with the same id finds the first one's. Raise SfvError, Conflict."""
    try:
        name = str(uuid.UUID(job_id) if job_id else uuid.uuid4())
    except ValueError:
        raise SfvError(f"The job id '{job_id}' is not a UUID.") from None
    if not (root / name / "job.json").is_file():
        pipeline.check(config)
        for path in pipeline.given(config).values():
            if not path.is_absolute():
                raise SfvError(f"'{path}' is relative. Give its whole path: the server runs in another folder.")
        new = root / f".{name}-{secrets.token_hex(4)}"
        try:
            Job.create(new, config).queue()
            new.rename(root / name)
            return Job(root / name)
        except OSError:
            if not (root / name / "job.json").is_file():  # unless another request was faster
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    if Job(root / name).config != config:
        raise Conflict(f"There is a job {name} already, with another configuration.")
    return Job(root / name)


def refine_job(job: Job, pins: object) -> Json:
    """Solve a job's captured motion again around pins; its later stages, if resumed, begin from that."""
    from .refine import refine_capture

    state = job.status().state
    if state not in ENDED or "motion.npz" not in artifacts(job):
        raise Conflict(f"Job {job.id} is {state} and has {'a' if 'motion.npz' in artifacts(job) else 'no'} captured "
                       "motion. Refine a capture that has ended.")
    return refine_capture(job.artifacts, lambda: pins, "pins", None, no_progress)


def with_local_video(config: JobConfig, videos: Path) -> JobConfig:
    """Replace the name `sha256:…` of an uploaded video by its path."""
    scheme, _, digest = (config.video or "").partition(":")
    if scheme != "sha256":
        return config
    if len(digest) != 64 or not digest.isalnum() or not (videos / digest).is_file():
        raise SfvError(f"video: no upload '{config.video}' is here. Send the video first.")
    return replace(config, video=str(videos / digest))


def with_motion_of_job(config: JobConfig, root: Path) -> JobConfig:
    """Replace the name `job:ID` of the motion that another job captured by its path."""
    scheme, _, name = (config.motion or "").partition(":")
    if scheme != "job":
        return config
    path = root / name / "artifacts" / "motion.npz"
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", name) or not path.is_file():
        raise SfvError(f"motion: there is no job '{name[:64]}' with a captured motion here. Capture it here first.")
    return replace(config, motion=str(path))


async def receive_video(request: Request, videos: Path, limit: int) -> str:
    """Stream the request's body to disk; return its SHA-256, which is its name from now on."""
    too_large = HTTPException(413, f"The video is larger than this server takes ({limit / 2**20:.0f} MiB).")
    if int(request.headers.get("content-length") or 0) > limit:
        raise too_large
    videos.mkdir(parents=True, exist_ok=True)
    temporary, digest, size = videos / f".{uuid.uuid4()}", hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise too_large
                digest.update(part)
                file.write(part)
        if not size:
            raise HTTPException(422, "The video is empty (0 bytes).")
        temporary.replace(videos / digest.hexdigest())
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest()


async def read_json(request: Request) -> object:
    """Read a small JSON body."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_JSON:
            raise HTTPException(413, f"The configuration is larger than {MAX_JSON} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"The body is not JSON: {error}.") from None


@cache
def gpu() -> str | None:
    """Return the name of the first NVIDIA card, if any."""
    if shutil.which("nvidia-smi") is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        lines = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True,
                               text=True, timeout=5).stdout.splitlines()
        return lines[0].strip() if lines else None
    return None


def _say_errors_plainly(app: FastAPI) -> None:
    """Answer every error as {"detail": text for the user}."""
    def said(status: int, text: str) -> JSONResponse:
        return JSONResponse({"detail": text}, status)

    @app.exception_handler(SfvError)
    async def ours(_: Request, error: Exception) -> JSONResponse:
        status = 409 if isinstance(error, Conflict) else 400 if isinstance(error, BadCursor) else 422
        return said(status, str(error))

    @app.exception_handler(RequestValidationError)
    async def arguments(_: Request, error: Exception) -> JSONResponse:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        return said(422, "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems))

    @app.exception_handler(AnyHTTPException)
    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AnyHTTPException)
        return said(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def others(_: Request, error: Exception) -> JSONResponse:
        return said(500, f"Internal error, {type(error).__name__}: {error}")


def serve(port: int, parallel: int, max_upload: int, announce: Callable[[Json], None]) -> Json:
    """Serve until told to stop; where a server of this user runs already, announce that one and return at once."""
    data, root = data_folder(), jobs_folder()
    for folder in (data, root):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(data / "server.lock", timeout=0):
            return _serve(data, root, port, parallel, max_upload, announce)
    except Timeout:
        return _running(data / "server.json", announce)


def _serve(data: Path, root: Path, port: int, parallel: int, max_upload: int,
           announce: Callable[[Json], None]) -> Json:
    listener = socket.socket()
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise SfvError(f"Port {port} on 127.0.0.1 cannot be used: {error}. Leave --port out for a free one.") from error
    listener.listen()
    token, scheduler = secrets.token_urlsafe(32), Scheduler(root, parallel)
    about = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "pid": os.getpid(), "version": __version__}
    app = create_app(root, data / "videos", token, scheduler, max_upload)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    try:
        write_private(data / "server.json", json.dumps({**about, "token": token}))
        scheduler.start()
        announce({**about, "jobs": str(root), "already_running": False})
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        (data / "server.json").unlink(missing_ok=True)
        scheduler.stop()
    return {}


def _running(path: Path, announce: Callable[[Json], None]) -> Json:
    """Announce the server that holds the lock; it may be about to write its file."""
    for _ in range(50):
        with suppress(OSError, ValueError, KeyError):
            about = json.loads(path.read_text(encoding="utf-8"))
            announce({"url": about["url"], "pid": about["pid"], "version": about["version"], "already_running": True})
            return {}
        time.sleep(0.1)
    raise SfvError(f"Another server holds '{path.with_suffix('.lock')}' but does not say where it is. End it first.")


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read."""
    with written_whole(path) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
