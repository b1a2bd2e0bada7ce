"""What cannot be written at the end is told before the first trial, in a line with a remedy."""

import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow_records import open_mirror, runs_of, start_python, trial

from tune_audio.errors import SurroundingsError, UserError


def refused(said, code=SurroundingsError.exit_code):
    """Opening the store is refused with that exit code by one line that says so."""
    start = time.monotonic()
    with pytest.raises(UserError, match=said) as caught:
        open_mirror()
    assert time.monotonic() - start < 30
    message = caught.value.message
    assert caught.value.exit_code == code and "\n" not in message and len(message) < 400
    assert message.endswith("or go on with --no-mlflow")
    return message


@contextmanager
def server(answer, health=200):
    """A server's address that has these codes for everything, and for /health."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(health if self.path == "/health" else answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://me:secret@127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.mark.parametrize(
    ("answer", "said", "code"),
    [
        (401, "answers 401.*MLFLOW_TRACKING_USERNAME", 1),
        (403, "answers 403.*MLFLOW_EXPERIMENT_NAME", 1),
        (404, "answers 404.*correct the address", 2),
        (500, "too many 500 error responses", 1),
    ],
)
def test_what_a_server_answers(monkeypatch, answer, said, code):
    with server(answer) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert "secret" not in refused(said, code)


def test_no_server(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
    assert "secret" not in refused("no MLflow server.*Connection refused")
    with server(200, health=503) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert "secret" not in refused("no MLflow server.*503")


def test_an_address_that_goes_nowhere_is_given_up_soon(monkeypatch):
    with socket.socket() as deaf:  # takes connections and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setattr("tune_audio.tracking.place.SERVER_CHECK_SECONDS", 0.2)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        refused("no MLflow server.*timed out")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("file:///tmp/mlruns", "sqlite:////"),
        ("./mlruns", "sqlite:////"),
        ("http://127.0.0.1:x", "nonnumeric port"),
        ("nothing://here", "must begin with http"),
    ],
)
def test_what_is_no_store(monkeypatch, uri, said):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    refused(said, UserError.exit_code)


def test_a_database_whose_driver_is_not_there(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql+asyncmy://me:secret@127.0.0.1/x")
    assert "secret" not in refused("needs the Python package asyncmy")


def test_a_file_that_is_no_database_stays(store, tmp_path):
    database = tmp_path / "mlflow.db"
    database.write_text("somebody's notes\n" * 1000)
    refused("is not a database; move it away")
    assert database.read_text().startswith("somebody's notes")


def test_a_database_that_was_cut_stays(store, tmp_path):
    database = tmp_path / "mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    refused("is damaged; move it away")
    assert database.read_bytes() == whole[: len(whole) // 2]


def test_a_folder_in_its_place(store, tmp_path):
    (tmp_path / "mlflow.db").unlink()
    (tmp_path / "mlflow.db").mkdir()
    refused("cannot be opened as a file")


def test_a_database_that_is_only_to_be_read(store, tmp_path, monkeypatch):
    uri = f"sqlite:///file:{tmp_path / 'mlflow.db'}?mode=ro&uri=true"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    refused("it is read-only")


def test_a_deleted_experiment(store):
    store.delete_experiment(store.create_experiment("tune_audio"))
    refused("'tune_audio' is deleted", UserError.exit_code)


def test_artifacts_that_cannot_be_written_leave_no_run_to_be_seen(store, tmp_path):
    (tmp_path / "file").touch()
    location = str(tmp_path / "file" / "artifacts")
    store.create_experiment("tune_audio", artifact_location=location)
    assert location in refused("MLflow's artifacts at .*: Not a directory")
    assert runs_of(store) == {}


def test_a_search_that_cannot_be_gone_on_with_stays_as_it_was(store, tmp_path):
    mirror = open_mirror()
    mirror.mirror(trial(0))
    mirror.close()
    before = runs_of(store)["speech4"]
    shutil.rmtree(tmp_path / "mlruns")
    (tmp_path / "mlruns").touch()
    refused("MLflow's artifacts")
    assert runs_of(store)["speech4"].info.status == before.info.status == "FINISHED"


@pytest.fixture
def disk(tmp_path):
    """The command that runs another with a small disk of its own mounted here, after a script."""

    def within(size, script):
        mount = f"mount -t tmpfs -o size={size} tmpfs {tmp_path} && cd {tmp_path} && {script}"
        return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]

    if not shutil.which("unshare") or subprocess.run([*within("1m", "true"), "true"]).returncode:
        pytest.skip("a disk of its own is made by root, on Linux")
    return within


OPEN = """
    import os, sys
    from mlflow_records import open_mirror
    from tune_audio.errors import UserError
    os.chdir(sys.argv[1])
    try:
        open_mirror()
    except UserError as error:
        print(error.exit_code, error.message)
    print(sorted(os.listdir()))
"""


@pytest.mark.parametrize(
    ("size", "script", "said", "left"),
    [
        ("400k", "true", "the disk is full", []),
        ("1200k", "cp {store} mlflow.db && ! cat /dev/zero > fill", "the disk is full", None),
        ("4m", "cp {store} mlflow.db && mount -o remount,ro {folder}", "it is read-only", None),
    ],
)
def test_a_disk_that_takes_nothing(empty_store, disk, tmp_path, size, script, said, left):
    script = script.format(store=empty_store, folder=tmp_path)
    process = start_python(OPEN, tmp_path, within=disk(size, f"{{ {script}; }} 2> /dev/null"))
    line, files = process.communicate()[0].splitlines()
    assert line.startswith("1 MLflow at sqlite:////") and said in line and "--no-mlflow" in line
    left = ["mlflow.db"] if left is None else left  # nothing is left half made
    assert set(eval(files)) - {".mlflow.db.lock", "fill"} == set(left)
