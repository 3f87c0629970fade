"""The wire: the add-on's client against the real server, with nothing in between."""

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import urllib.parse
import uuid
from pathlib import Path

import pytest
import sfv_client as client
from sfv_client import Backend, BackendError, NoBackend, find_server

from sfv_core import __version__, jobs
from sfv_core.jobs import Job


@pytest.fixture
def text_video(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("this is no video")
    return path


@pytest.fixture(scope="session")
def old_job(shared, tmp_path_factory):
    """A job of the shared server that is over: cancelled before it began."""
    video = tmp_path_factory.mktemp("video") / "text.mp4"
    video.write_text("this is no video")
    job_id = shared.backend().submit(capture_of(video))
    shared.backend().cancel(job_id)
    list(shared.backend().watch(job_id))
    return job_id


def capture_of(video, **settings):
    return {"stages": ["capture"], "video": str(video), "name": "take", "capture": settings}


def raw(backend, method, path, body=None, headers=()):
    """Send a request without the client's good manners; return (status, headers, body)."""
    where = urllib.parse.urlsplit(backend.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    connection.request(method, path, body, {"Authorization": f"Bearer {backend.token}", **dict(headers)})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


# Finding it

def test_the_server_says_where_it_is_to_its_user_alone(server):
    backend = server.start()
    about = json.loads((server.data / "server.json").read_text())
    assert about == {"url": backend.url, "token": backend.token, "pid": server.process.pid, "version": __version__}
    assert stat.S_IMODE((server.data / "server.json").stat().st_mode) == 0o600
    assert backend.url.startswith("http://127.0.0.1:")
    assert find_server() == backend
    info = backend.info()
    assert info["version"] == __version__ and {"pose", "physics"} <= info["extras"].keys()


def test_a_second_server_points_to_the_first_one(server):
    backend = server.start()
    second = subprocess.run([sys.executable, "-m", "sfv_core", "serve"], capture_output=True, text=True, check=True,
                            env=server.environment)
    assert f"already runs at {backend.url}" in second.stdout
    assert find_server() == backend


def test_a_stopped_server_takes_its_file_along_and_a_killed_ones_is_replaced(server):
    server.start()
    assert server.end() == 0
    assert find_server() is None and not (server.data / "server.json").exists()
    killed = server.start()
    server.end(signal.SIGKILL)
    assert find_server() is None
    again = server.start()
    assert find_server() == again and again.token != killed.token


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "http://127.0.0.1:9"}', '{"url": "nonsense", "token": "x"}'])
def test_a_broken_server_file_is_no_server(server, text):
    server.data.mkdir()
    (server.data / "server.json").write_text(text)
    assert find_server() is None


@pytest.mark.parametrize("setting", ["SFV_DATA", "XDG_DATA_HOME", None])
def test_client_and_backend_look_in_the_same_folder(setting, tmp_path, monkeypatch):
    monkeypatch.delenv("SFV_DATA", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if setting:
        monkeypatch.setenv(setting, str(tmp_path))
    assert client.data_folder() == jobs.data_folder()


def test_client_and_backend_are_of_one_major_version(backend, monkeypatch):
    assert str(client.MAJOR_VERSION) == __version__.split(".")[0]
    monkeypatch.setattr(client, "MAJOR_VERSION", 7)
    with pytest.raises(NoBackend, match=rf"version {__version__}.*needs 7\.x.*Update"):
        backend.info()


def test_nobody_at_home_is_said_plainly():
    with pytest.raises(NoBackend, match=r"No backend answers at http://127\.0\.0\.1:1 .*refused"):
        Backend("http://127.0.0.1:1", "x").jobs()


# Keeping others out

@pytest.mark.parametrize("token", ["", "wrong", "wröng", "x" * 5000])
def test_a_wrong_token_is_refused_everywhere(backend, token):
    for method, path in [("GET", "/v1/info"), ("POST", "/v1/jobs"), ("GET", "/nothing"), ("GET", "/docs")]:
        status, _, body = raw(backend, method, path, headers={"Authorization": f"Bearer {token}".encode("latin-1")})
        assert status == 401 and "token" in json.loads(body)["detail"]
    if token.isascii():
        with pytest.raises(BackendError, match="token"):
            Backend(backend.url, token).jobs()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_a_page_under_another_name_is_refused_even_with_the_token(backend, host):
    status, _, body = raw(backend, "GET", "/v1/info", headers={"Host": host})
    assert status == 403 and "localhost" in json.loads(body)["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1:99", "[::1]:80", "[::1]"])
def test_this_machine_and_the_end_of_a_tunnel_are_let_in(backend, host):
    assert raw(backend, "GET", "/v1/info", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("name", ["../job.json", "..%2fjob.json", "%2e%2e/job.json", "..%5cjob.json", "%2fetc%2fpasswd",
                                  ".", "..", ".hidden", "nothing.npz", "link", "a%00b"])
def test_only_results_can_be_fetched(backend, shared, old_job, name):
    artifacts = shared.data / "jobs" / old_job / "artifacts"
    artifacts.mkdir(exist_ok=True)
    (artifacts / ".hidden").write_text("half written")
    if not (artifacts / "link").is_symlink():
        (artifacts / "link").symlink_to("/etc/passwd")
    status, _, body = raw(backend, "GET", f"/v1/jobs/{old_job}/artifacts/{name}")
    assert status in (404, 400) and "detail" in json.loads(body)


@pytest.mark.parametrize("job_id", ["..", "%2e%2e", "..%2f..", ".hidden", "a%20b", "%00", "x" * 10000])
def test_a_job_id_cannot_leave_the_folder_of_jobs(backend, job_id):
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/events", f"/v1/jobs/{job_id}/artifacts/job.json"):
        status, _, body = raw(backend, "GET", path)
        assert status == 404 and "detail" in json.loads(body)


# Asking for jobs

@pytest.mark.parametrize(("config", "says"), [
    ({"video": "/no/such.mp4", "stages": ["capture"]}, "no video"),
    ({"video": 7}, "video must be a text"),
    ({"train": {"minutes": "long"}}, "train.minutes"),
    ({"surprise": 1}, "surprise"),
    ({"video": "sha256:../../etc/passwd"}, "no upload"),
    ({"video": "sha256:" + "0" * 64}, "Send the video first"),
    ([], "object"),
    ({"stages": ["capture"]}, "needs video"),
])
def test_a_request_that_cannot_work_is_refused_with_the_reason(backend, config, says):
    before = backend.jobs()
    with pytest.raises(BackendError, match=says):
        backend.submit(config)
    assert backend.jobs() == before


def test_a_relative_path_is_refused(backend):
    status, _, body = raw(backend, "POST", "/v1/jobs", json.dumps(capture_of("pyproject.toml")))
    assert status == 422 and ("whole path" in body.decode() or "no video" in body.decode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"name": "' + b"x" * 2_000_000 + b'"}'])
def test_a_body_that_is_no_small_json_is_refused(backend, body):
    status, _, reply = raw(backend, "POST", "/v1/jobs", body)
    assert status in (413, 422) and "detail" in json.loads(reply)


@pytest.mark.parametrize("query", ["after=x", "after=-1", "wait=nan", "wait=1e9", "after=5"])
def test_a_bad_cursor_is_the_callers_fault(backend, old_job, query):
    status, _, body = raw(backend, "GET", f"/v1/jobs/{old_job}/events?{query}")
    assert status in (400, 422) and json.loads(body)["detail"]


def test_asking_twice_with_one_id_makes_one_job(backend, text_video):
    job_id = str(uuid.uuid4())
    made = []
    threads = [threading.Thread(target=lambda: made.append(backend.submit(capture_of(text_video), job_id)))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [job_id] * 8
    assert [job["id"] for job in backend.jobs()].count(job_id) == 1
    backend.cancel(job_id)
    with pytest.raises(BackendError, match="another configuration"):
        backend.submit(capture_of(text_video, start=1.0), job_id)
    with pytest.raises(BackendError, match="UUID"):
        backend.submit(capture_of(text_video), "../../x")


def test_unknown_jobs_are_not_found(backend):
    for act in (backend.job, backend.cancel, backend.resume, backend.events):
        with pytest.raises(BackendError, match="no job 'nothing'"):
            act("nothing")


def test_a_video_travels_to_a_remote_backend(server, tmp_path):
    backend = server.start()
    video = tmp_path / "clip.mp4"
    video.write_bytes(os.urandom(3_000_000))
    name = backend.upload(video)
    assert name == backend.upload(video)
    (stored,) = (server.data / "videos").iterdir()
    assert name == f"sha256:{stored.name}" and stored.read_bytes() == video.read_bytes()
    job_id = backend.submit({"stages": ["capture"], "video": name})
    assert backend.job(job_id)["config"]["video"] == str(stored)


def test_an_upload_that_is_too_large_or_empty_leaves_nothing(server, tmp_path):
    backend = server.start("--max-upload", "0.001")
    video = tmp_path / "clip.mp4"
    video.write_bytes(bytes(2_000_000))
    with pytest.raises(BackendError, match="larger than"):
        backend.upload(video)
    status, _, _ = raw(backend, "POST", "/v1/videos", iter([bytes(1_000_000)] * 3))
    assert status == 413
    status, _, _ = raw(backend, "POST", "/v1/videos", b"x", {"Content-Length": "9" * 30})
    assert status in (400, 413)
    video.write_bytes(b"")
    with pytest.raises(BackendError, match="empty"):
        backend.upload(video)
    assert not list((server.data / "videos").glob("*"))
    with pytest.raises(BackendError, match=r"Cannot read.*missing\.mp4"):
        backend.upload(tmp_path / "missing.mp4")


# Doing them

def test_a_job_that_fails_says_why_to_whoever_watches(backend, text_video):
    job_id = backend.submit(capture_of(text_video))
    events = list(backend.watch(job_id))
    assert [event["state"] for event in events if event["kind"] == "state"] == ["queued", "running", "failed"]
    assert str(text_video) in events[-1]["error"]
    job = backend.job(job_id)
    assert (job["state"], job["error"], job["artifacts"]) == ("failed", events[-1]["error"], {})
    assert {"id": job_id, "name": "take", "state": "failed", "created": job["created"]} in backend.jobs()
    again = list(backend.watch(job_id, after=events[-1]["cursor"]))
    assert [(event["kind"], event["state"]) for event in again] == [("state", "failed")]


def test_what_failed_can_be_tried_again_once_the_reason_is_gone(backend, text_video):
    job_id = backend.submit(capture_of(text_video))
    cursor = list(backend.watch(job_id))[-1]["cursor"]
    backend.resume(job_id)
    assert [event["state"] for event in backend.watch(job_id, cursor) if event["kind"] == "state"] == [
        "queued", "running", "failed"]
    with pytest.raises(BackendError, match="nothing to cancel"):
        backend.cancel(job_id)


def test_jobs_wait_for_their_turn_and_outlive_a_server_that_never_began_them(server, text_video):
    backend = server.start("--parallel", "1")
    busy = Job.create(server.data / "jobs" / str(uuid.uuid4()), jobs.JobConfig(name="busy"))
    with busy.hold():
        busy.emit("state", state="running")
        first, second, third = [backend.submit(capture_of(text_video)) for _ in range(3)]
        assert {backend.job(job)["state"] for job in (first, second, third)} == {"queued"}
        backend.cancel(second)
        assert backend.job(second)["state"] == "cancelled"
        server.end(signal.SIGKILL)
        busy.emit("state", state="done")
    backend = server.start()
    ends = [list(backend.watch(job))[-1] for job in (first, third)]
    assert [end["state"] for end in ends] == ["failed", "failed"]
    assert ends[0]["time"] < ends[1]["time"]
    assert backend.job(second)["state"] == "cancelled"


def test_a_result_is_fetched_whole_in_part_or_not_at_all(backend, shared, text_video, tmp_path):
    job_id = backend.submit(capture_of(text_video))
    backend.cancel(job_id)
    content = os.urandom(2_000_000)
    (shared.data / "jobs" / job_id / "artifacts").mkdir(exist_ok=True)
    (shared.data / "jobs" / job_id / "artifacts" / "motion.npz").write_bytes(content)
    target = tmp_path / "new folder" / "motion.npz"
    assert backend.download(job_id, "motion.npz", target).read_bytes() == content
    assert backend.job(job_id)["artifacts"] == {"motion.npz": len(content)}
    status, headers, part = raw(backend, "GET", f"/v1/jobs/{job_id}/artifacts/motion.npz",
                                headers={"Range": "bytes=100-199"})
    assert (status, part) == (206, content[100:200]) and headers["Content-Range"] == f"bytes 100-199/{len(content)}"
    with pytest.raises(BackendError, match=r"has no 'policy\.pt'. It has: motion\.npz"):
        backend.download(job_id, "policy.pt", tmp_path / "policy.pt")
    assert sorted(path.name for path in target.parent.iterdir()) == ["motion.npz"]
    assert not (tmp_path / "policy.pt").exists()


def test_something_else_at_the_address_is_noticed(tmp_path):
    code = "import http.server; s = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler); " \
           "print(s.server_port, flush=True); s.serve_forever()"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             cwd=tmp_path)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "info").write_text("hello")
    try:
        assert other.stdout is not None
        url = f"http://127.0.0.1:{int(other.stdout.readline())}"
        with pytest.raises(NoBackend, match="not this backend"):
            Backend(url, "x").info()
        with pytest.raises(BackendError, match="404"):
            Backend(url, "x").job("y")
    finally:
        other.kill()
        other.communicate()


def test_the_client_needs_nothing_but_the_standard_library():
    code = ("import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import client; "
            "new = {name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names); "
            "assert new <= {'client'}, new")
    folder = Path(client.__file__).parent
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(folder)], check=True)
