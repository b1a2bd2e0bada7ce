"""A copy of a run on other storage: what another machine needs, at one moment, and no more."""

import sqlite3
from pathlib import Path

import pytest
from pyarrow import fs

from tune_audio.errors import UserError
from tune_audio.run_copy import RunCopy, fetch
from tune_audio.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "runs" / "one")
    checkpoint = run.trials / "family-0" / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    run.space.write_text("data: {}")
    for needless in (".lock", "trials/.x.beacon", "trials/.ray", "trials/family-0/.c.partial"):
        (run.path / needless).write_text("")
    with sqlite3.connect(run.database) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE trials (number INTEGER)")
        database.execute("INSERT INTO trials VALUES (1)")
    assert run.id
    return run


def numbers(database: Path) -> list[int]:
    with sqlite3.connect(database) as opened:
        return [number for (number,) in opened.execute("SELECT number FROM trials")]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


WHOLE = {".id", ".storage", "optuna.db", "space.yaml", "trials/family-0/checkpoint.pt"}


def test_what_another_machine_needs_is_there_and_follows(run: RunFolder, tmp_path: Path):
    storage = tmp_path / "storage"
    copy = RunCopy(run, str(storage))
    copy.update()
    assert names(storage / "one") == WHOLE
    open_elsewhere = sqlite3.connect(run.database)  # a log beside the database holds what is new
    open_elsewhere.execute("INSERT INTO trials VALUES (2)")
    open_elsewhere.commit()
    (run.trials / "family-0" / "checkpoint.pt").unlink()
    run.leaderboard.write_text("rank,trial")
    copy.update()
    assert names(storage / "one") == WHOLE - {"trials/family-0/checkpoint.pt"} | {"leaderboard.csv"}
    assert numbers(storage / "one" / "optuna.db") == [1, 2]


def test_a_run_comes_back_by_its_name_or_as_the_latest(run: RunFolder, tmp_path: Path):
    RunCopy(run, str(tmp_path / "storage")).update()
    for name in ("one", "latest"):
        runs = tmp_path / f"runs on a new machine, {name}"
        fetch(runs, name, str(tmp_path / "storage"))
        assert names(runs / "one") == WHOLE
        assert RunFolder(runs / "one").id == run.id
        assert numbers(runs / "one" / "optuna.db") == [1]


def test_what_is_here_is_not_overwritten(run: RunFolder, tmp_path: Path):
    RunCopy(run, str(tmp_path / "storage")).update()
    run.space.write_text("data: {newer: yes}")
    fetch(run.path.parent, "one", str(tmp_path / "storage"))
    assert "newer" in run.space.read_text()


def test_another_run_of_that_name_is_not_overwritten(run: RunFolder, tmp_path: Path):
    RunCopy(run, str(tmp_path / "storage")).update()
    other = RunFolder(tmp_path / "another machine" / "one")
    other.path.mkdir(parents=True)
    with pytest.raises(UserError, match="has another run one; give this one another --name"):
        RunCopy(other, str(tmp_path / "storage"))
    assert names(tmp_path / "storage" / "one") == WHOLE
    RunCopy(run, str(tmp_path / "storage")).update()  # its own it goes on with


def test_a_folder_that_is_no_copy_of_a_run_keeps_what_is_in_it(run: RunFolder, tmp_path: Path):
    place = tmp_path / "storage" / "one"
    place.mkdir(parents=True)
    (place / ".writable").touch()  # left by one that was killed
    RunCopy(run, str(tmp_path / "storage"))
    (place / "thesis.tex").write_text("years")
    with pytest.raises(UserError, match=r"one is no copy of a run, thesis\.tex is in it"):
        RunCopy(run, str(tmp_path / "storage"))
    assert names(place) == {"thesis.tex"}


def test_what_cannot_be_copied_is_told_and_tried_again(run: RunFolder, tmp_path: Path):
    told: list[str] = []
    copy = RunCopy(run, str(tmp_path / "storage"), told.append)
    moved = (tmp_path / "storage").rename(tmp_path / "gone")
    (tmp_path / "storage").write_text("a file where the folder was")
    copy._look()
    copy._look()
    assert "storage" in (copy.complaint or "") and len(told) == 1
    (tmp_path / "storage").unlink()
    moved.rename(tmp_path / "storage")
    copy._look()
    assert copy.complaint is None and names(tmp_path / "storage" / "one") == WHOLE
    assert told[1:] == ["the run's copy is up to date again"]


@pytest.mark.parametrize(
    ("storage", "told"),
    [("nothing://bucket", "must be a folder, s3://BUCKET"), ("/proc/nowhere", "cannot be written")],
)
def test_storage_that_is_none_is_a_line(run: RunFolder, storage: str, told: str):
    with pytest.raises(UserError, match=told):
        RunCopy(run, storage)


def test_a_run_that_is_not_there_is_a_line_with_those_that_are(run: RunFolder, tmp_path: Path):
    RunCopy(run, str(tmp_path / "storage")).update()
    with pytest.raises(UserError, match=r"no search 'two' in .*; there are: one"):
        fetch(tmp_path / "new", "two", str(tmp_path / "storage"))
    assert isinstance(fs.FileSystem.from_uri(str(tmp_path))[0], fs.LocalFileSystem)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch):
    """A bucket of a server that speaks S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "of-a-test",
        "AWS_SECRET_ACCESS_KEY": "of-a-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield "s3://bucket/runs"
    server.stop()


def test_s3_keeps_a_run_as_a_folder_does(run: RunFolder, bucket: str, tmp_path: Path):
    copy = RunCopy(run, bucket)
    copy.update()
    (run.trials / "family-0" / "checkpoint.pt").unlink()
    run.leaderboard.write_text("rank,trial")
    copy.update()
    fetch(tmp_path / "new", "latest", bucket)
    kept = WHOLE - {"trials/family-0/checkpoint.pt"} | {"leaderboard.csv"}
    assert names(tmp_path / "new" / "one") == kept
    assert numbers(tmp_path / "new" / "one" / "optuna.db") == [1]
    with pytest.raises(UserError, match="--storage: s3://no-such-bucket/runs cannot be written"):
        RunCopy(run, "s3://no-such-bucket/runs")
