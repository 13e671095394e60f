"""The S3 store when service, network or our own process fail: nothing half-done is listed, the next run heals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.backup.storage import s3_client, s3_upload
from ops.backup.storage.s3 import S3Store
from ops.kernel.errors import (
    ConnectionFailed,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
    TimeLimitReached,
)
from tests.support import runs
from tests.support import s3 as stores
from tests.support.local import eventually
from tests.support.places import ROOT
from tests.support.s3 import CREDENTIALS, LEAST_PART, PREFIX, Fault, Service

UPLOADER = """
import sys
from pathlib import Path
from ops.backup.storage.s3 import S3Store
from tests.support import runs

store = S3Store(runs.context(Path(sys.argv[1])), sys.argv[2], sys.argv[3])
with store.writer("killed.dump") as opened:
    while True:
        opened.write(bytes(1024 * 1024))
"""
DATA = os.urandom(3 * LEAST_PART + 1000)


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with stores.service() as made:
        yield made


@pytest.fixture
def s3(running: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    running.calm()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_upload, "FIRST_PART", LEAST_PART)
    monkeypatch.setattr(s3_client, "FIRST_PAUSE", 0.01)
    return running


@pytest.fixture
def bucket(s3: Service) -> str:
    return s3.bucket()


@pytest.fixture
def store(s3: Service, bucket: str, tmp_path: Path) -> S3Store:
    return stores.store(s3, bucket, tmp_path)


def write(store: S3Store, data: bytes = DATA) -> None:
    with store.writer("a.dump") as opened:
        opened.write(data)


def read(store: S3Store, piece: int = 500_000) -> bytes:
    with store.reader("a.dump") as opened:
        return b"".join(iter(lambda: opened.read(piece), b""))


def unfinished(s3: Service, bucket: str) -> int:
    return len(s3.client().list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", r"\?uploads", "status", 503, "SlowDown"),
        Fault("PUT", "partNumber=3", "status", 500, times=2),
        Fault("PUT", "partNumber=2", "status", 503, "SlowDown"),
        Fault("PUT", "partNumber=2", "status", 400, "RequestTimeout"),
        Fault("PUT", "partNumber=1", "drop request", bytes=2_000_000, times=2),
        Fault("PUT", "partNumber=4", "drop answer"),
        Fault("PUT", "partNumber=1", "wait", seconds=0.5),
        Fault("POST", "uploadId=", "status", 500),
        Fault("POST", "uploadId=", "drop answer"),
    ],
    ids=lambda fault: f"{fault.method} {fault.pattern} {fault.kind} {fault.code}",
)
def test_an_upload_survives(store: S3Store, s3: Service, fault: Fault) -> None:
    s3.faults.append(fault)
    write(store)
    assert fault.hits >= 1
    assert read(store) == DATA


def test_a_completed_upload_whose_answer_was_lost_is_complete(store: S3Store, s3: Service) -> None:
    # Amazon forgets an upload that is complete, moto does not.
    s3.faults += [
        Fault("POST", "uploadId=", "drop answer"),
        Fault("POST", "uploadId=", "status", 404, "NoSuchUpload"),
    ]
    write(store)
    assert read(store) == DATA


@pytest.mark.parametrize(
    ("fault", "expected", "requests"),
    [
        (Fault("PUT", "partNumber=2", "status", 500, times=99), ConnectionFailed, 7),
        (Fault("PUT", "partNumber=2", "drop request", bytes=9, times=99), ConnectionFailed, 7),
        (Fault("PUT", "partNumber=2", "status", 403, "AccessDenied", times=99), NotPermitted, 1),
        (Fault("PUT", "partNumber=2", "status", 404, "NoSuchUpload", times=99), StepFailed, 1),
        (Fault("POST", "uploadId=", "status", 403, "AccessDenied", times=99), NotPermitted, 1),
        (Fault("POST", "uploadId=", "status", 400, "InvalidPart", times=99), StepFailed, 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_an_upload_that_cannot_succeed_leaves_nothing(
    store: S3Store,
    s3: Service,
    bucket: str,
    fault: Fault,
    expected: type[OpsError],
    requests: int,
) -> None:
    s3.faults.append(fault)
    with pytest.raises(expected) as caught:
        write(store)
    assert fault.hits == requests
    assert f"s3://{bucket}/{PREFIX}" in caught.value.what
    assert caught.value.hint
    assert store.entries() == []
    assert unfinished(s3, bucket) == 0


def test_no_permission_to_write_shows_before_the_first_byte(store: S3Store, s3: Service) -> None:
    s3.faults.append(Fault("POST", r"\?uploads", "status", 403, "AccessDenied"))
    with pytest.raises(NotPermitted, match="AccessDenied"), store.writer("a.dump"):
        pytest.fail("the block began")


def test_an_abort_that_fails_is_left_to_the_next_run(
    store: S3Store, s3: Service, bucket: str
) -> None:
    s3.faults.append(Fault("DELETE", "uploadId=", "status", 403, "AccessDenied"))
    with pytest.raises(ZeroDivisionError), store.writer("a.dump"):
        raise ZeroDivisionError
    assert unfinished(s3, bucket) == 1
    assert store.entries() == []
    assert store.sweep() == 1
    assert unfinished(s3, bucket) == 0


def test_a_slow_service_uses_up_the_time_limit(s3: Service, bucket: str, tmp_path: Path) -> None:
    s3.faults.append(Fault("PUT", "partNumber=", "wait", seconds=4, times=99))
    store = stores.store(s3, bucket, tmp_path, seconds=1.5)
    with pytest.raises(TimeLimitReached, match="trying to send part 1 to s3://"):
        write(store, b"x")
    assert store_of(s3, bucket, tmp_path).entries() == []
    assert unfinished(s3, bucket) == 0


def store_of(s3: Service, bucket: str, folder: Path) -> S3Store:
    again = folder / "again"
    again.mkdir()
    return stores.store(s3, bucket, again)


def test_a_signal_ends_an_upload(s3: Service, bucket: str, tmp_path: Path) -> None:
    context = runs.context(stores.project(s3, tmp_path / "project"))
    store = S3Store(context, bucket, PREFIX)
    with pytest.raises(Interrupted), store.writer("a.dump") as opened:
        context.deadline.interrupt(Interrupted("stopped", signal_number=signal.SIGTERM))
        opened.write(DATA)
    assert unfinished(s3, bucket) == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "a.dump", "status", 500),
        Fault("GET", "a.dump", "status", 503, "SlowDown", times=3),
        Fault("GET", "a.dump", "drop answer", bytes=LEAST_PART + 1, times=2),
        Fault("GET", "a.dump", "wait", seconds=0.5),
    ],
    ids=lambda fault: f"{fault.kind} {fault.code}",
)
def test_a_read_survives(store: S3Store, s3: Service, fault: Fault) -> None:
    write(store)
    s3.faults.append(fault)
    assert read(store) == DATA
    assert fault.hits > 1 or fault.kind == "wait"


def test_a_lost_connection_goes_on_from_where_it_was(store: S3Store, s3: Service) -> None:
    write(store)
    s3.calm()
    s3.faults.append(Fault("GET", "a.dump", "drop answer", bytes=LEAST_PART))
    assert read(store) == DATA
    first, second = s3.headers
    assert "Range" not in first
    # What was on its way when the connection was lost is asked for again.
    start = int(second["Range"].removeprefix("bytes=").removesuffix("-"))
    assert LEAST_PART - 500_000 <= start <= LEAST_PART
    assert second["If-Match"]


def test_an_object_replaced_while_it_is_read_is_noticed(
    store: S3Store, s3: Service, bucket: str
) -> None:
    write(store)
    s3.faults.append(Fault("GET", "a.dump", "drop answer", bytes=LEAST_PART))
    with pytest.raises(StepFailed, match="PreconditionFailed"), store.reader("a.dump") as opened:
        opened.read(1000)
        s3.client().put_object(Bucket=bucket, Key=f"{PREFIX}/a.dump", Body=DATA[::-1])
        while opened.read(1_000_000):
            pass


def test_a_read_that_never_gets_on_ends(store: S3Store, s3: Service) -> None:
    write(store)
    s3.faults.append(Fault("GET", "a.dump", "drop answer", times=99))
    with pytest.raises(ConnectionFailed, match="cannot read an object of s3://"):
        read(store)


@contextmanager
def checked_credentials(s3: Service) -> Iterator[None]:
    """Make moto compare credentials, which it else takes whatever they are."""

    def after(calls: str) -> None:
        headers = {"Content-Type": "text/plain"}
        address = f"{s3.direct}/moto-api/reset-auth"
        urllib.request.urlopen(urllib.request.Request(address, calls.encode(), headers)).close()

    after("0")
    try:
        yield
    finally:
        after("inf")


def test_wrong_credentials_are_refused_and_not_shown(
    store: S3Store, s3: Service, bucket: str
) -> None:
    with checked_credentials(s3), pytest.raises(NotPermitted, match="InvalidAccessKeyId") as caught:
        store.check()
    text = str(caught.value) + caught.value.hint
    assert not any(
        CREDENTIALS[f"AWS_{name}"] in text for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    )


def test_a_killed_upload_is_no_object_and_is_cleaned_up(
    store: S3Store, s3: Service, bucket: str, tmp_path: Path
) -> None:
    s3.faults.append(Fault("PUT", "partNumber=2", "wait", seconds=30, times=99))
    project = stores.project(s3, tmp_path / "killed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", UPLOADER, str(project), bucket, PREFIX]
    with subprocess.Popen(argv, env=environment, cwd=ROOT) as process:
        try:
            assert eventually(lambda: any("partNumber=2" in each for each in s3.requests), 60)
        finally:
            process.kill()
    s3.calm()
    assert store.entries() == []
    assert unfinished(s3, bucket) == 1
    assert store.sweep() == 1
    assert unfinished(s3, bucket) == 0
    write(store)
    assert len(store.entries()) == 1
