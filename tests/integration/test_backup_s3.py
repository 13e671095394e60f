"""The S3 store against a real service over HTTP: what it writes, lists, reads, deletes and refuses."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.backup.storage import Entry, s3_upload
from ops.backup.storage.s3 import S3Store
from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, EffectRefused, NotPermitted, OpsError
from tests.support import s3 as stores
from tests.support.s3 import CREDENTIALS, LEAST_PART, PREFIX, Service


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with stores.service() as made:
        yield made


@pytest.fixture
def s3(running: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    running.calm()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # The least that S3 takes, so that a few megabytes are several parts.
    monkeypatch.setattr(s3_upload, "FIRST_PART", LEAST_PART)
    return running


@pytest.fixture
def bucket(s3: Service) -> str:
    return s3.bucket()


@pytest.fixture
def store(s3: Service, bucket: str, tmp_path: Path) -> S3Store:
    return stores.store(s3, bucket, tmp_path)


def write(store: S3Store, name: str, data: bytes, piece: int = 700_000) -> None:
    with store.writer(name) as opened:
        for start in range(0, len(data), piece):
            opened.write(data[start : start + piece])


def read(store: S3Store, name: str) -> bytes:
    with store.reader(name) as opened:
        return b"".join(iter(lambda: opened.read(100_000), b""))


@pytest.mark.parametrize(
    "size",
    [0, 1, LEAST_PART - 1, LEAST_PART, LEAST_PART + 1, 4 * LEAST_PART, 4 * LEAST_PART + 12_345],
)
def test_what_was_written_is_read_again(store: S3Store, size: int) -> None:
    data = os.urandom(size)
    write(store, "a.dump", data)
    assert store.entries() == [Entry("a.dump", size)]
    assert read(store, "a.dump") == data


def test_every_part_is_sent_with_its_checksum(store: S3Store, s3: Service) -> None:
    data = os.urandom(LEAST_PART + 1000)
    write(store, "a.dump", data)
    sent = [
        headers["x-amz-checksum-sha256"]
        for request, headers in zip(s3.requests, s3.headers, strict=True)
        if "partNumber=" in request
    ]
    parts = (data[:LEAST_PART], data[LEAST_PART:])
    expected = {base64.b64encode(hashlib.sha256(each).digest()).decode() for each in parts}
    assert set(sent) == expected


def test_an_object_is_listed_only_after_its_block(store: S3Store) -> None:
    with store.writer("a.dump") as opened:
        opened.write(os.urandom(2 * LEAST_PART))
        assert store.entries() == []
    assert len(store.entries()) == 1


def test_a_block_that_fails_leaves_nothing(store: S3Store, s3: Service, bucket: str) -> None:
    with pytest.raises(ZeroDivisionError), store.writer("a.dump") as opened:
        opened.write(os.urandom(2 * LEAST_PART))
        raise ZeroDivisionError
    assert store.entries() == []
    assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=bucket)


def test_more_objects_than_a_page_holds(store: S3Store, s3: Service, bucket: str) -> None:
    client = s3.client()
    names = sorted(f"{number:04}.json" for number in range(1003))
    for name in names:
        client.put_object(Bucket=bucket, Key=f"{PREFIX}/{name}", Body=b"x")
    client.put_object(Bucket=bucket, Key=f"{PREFIX}/below/other", Body=b"not ours")
    client.put_object(Bucket=bucket, Key=f"{PREFIX}-2/other", Body=b"not ours")
    assert [each.name for each in store.entries()] == names


def test_small_objects_are_written_replaced_read_and_deleted(store: S3Store, s3: Service) -> None:
    store.put("a.json", b"one")
    store.put("a.json", b"two")
    assert store.get("a.json") == b"two"
    checksum = base64.b64encode(hashlib.sha256(b"two").digest()).decode()
    assert checksum in [each.get("x-amz-checksum-sha256") for each in s3.headers]
    store.delete("a.json")
    store.delete("a.json")
    assert store.entries() == []


def test_a_missing_object_is_named(store: S3Store) -> None:
    looks: tuple[Callable[[], object], ...] = (
        lambda: store.get("gone.json"),
        lambda: read(store, "gone.json"),
    )
    for look in looks:
        with pytest.raises(ConfigurationError, match="NoSuchKey"):
            look()


def test_sweep_aborts_what_killed_runs_left_below_our_prefix(
    store: S3Store, s3: Service, bucket: str
) -> None:
    client = s3.client()
    for key in (f"{PREFIX}/one", f"{PREFIX}/two", "backups/sample/production/three"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    assert store.sweep() == 2
    assert store.sweep() == 0
    (left,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert left["Key"] == "backups/sample/production/three"


def test_encryption_and_lock_are_asked_for(s3: Service, tmp_path: Path) -> None:
    lines = (
        's3_encryption = "aws:kms"\ns3_kms_key = "alias/backups"\n'
        's3_lock = "compliance"\ns3_lock_days = 3'
    )
    store = stores.store(s3, s3.bucket(lock=True), tmp_path, lines)
    store.check()
    write(store, "a.dump", b"x")
    store.put("a.json", b"x")
    at = {each.partition("?")[2][:7]: n for n, each in enumerate(s3.requests) if "a.dump" in each}
    started = s3.headers[at["uploads"]]
    put = s3.headers[next(n for n, each in enumerate(s3.requests) if each.endswith("a.json"))]
    for headers in (started, put):
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/backups"
    assert started["x-amz-object-lock-mode"] == "COMPLIANCE"
    until = datetime.fromisoformat(started["x-amz-object-lock-retain-until-date"])
    assert timedelta(days=2.9) < until - datetime.now(UTC) <= timedelta(days=3)
    assert "x-amz-object-lock-mode" not in put


def test_a_locked_object_is_not_deleted(s3: Service, tmp_path: Path) -> None:
    bucket = s3.bucket(lock=True)
    until = datetime.now(UTC) + timedelta(days=1)
    for lines in ("", 's3_lock = "governance"'):
        store = stores.store(s3, bucket, tmp_path, lines)
        s3.client().put_object(
            Bucket=bucket,
            Key=f"{PREFIX}/a.dump",
            Body=b"x",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=until,
        )
        with pytest.raises(NotPermitted, match="Object Lock holds it until"):
            store.delete("a.dump")
        assert len(store.entries()) == 1


def test_with_a_lock_configured_no_version_stays_behind(s3: Service, tmp_path: Path) -> None:
    bucket = s3.bucket(lock=True)
    store = stores.store(s3, bucket, tmp_path, 's3_lock = "governance"')
    for name in ("a.json", "a.json", "a.json.more"):
        store.put(name, b"x")
    store.delete("a.json")
    left = s3.client().list_object_versions(Bucket=bucket)
    assert [each["Key"] for each in left["Versions"]] == [f"{PREFIX}/a.json.more"]
    assert "DeleteMarkers" not in left


def test_a_dry_run_only_reads(store: S3Store, s3: Service) -> None:
    store.put("a.json", b"x")
    s3.calm()
    with guard.scope(guard.Mode.DRY_RUN):
        store.check()
        store.entries()
        assert store.get("a.json") == b"x"
        assert read(store, "a.json") == b"x"
        changes: tuple[Callable[[], object], ...] = (
            lambda: store.put("b.json", b"x"),
            lambda: store.delete("a.json"),
            lambda: write(store, "b.dump", b"x"),
        )
        for change in changes:
            with pytest.raises(EffectRefused):
                change()
        assert store.sweep() == 0
    assert {each.split()[0] for each in s3.requests} <= {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("variables", "bucket", "lines", "expected", "words"),
    [
        ({}, "no-such-bucket", "", ConfigurationError, "NoSuchBucket"),
        ({}, "Not_A_Bucket!", "", ConfigurationError, "bucket"),
        ({}, "", 's3_lock = "compliance"', ConfigurationError, "ObjectLockConfigurationNotFound"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "",
            "",
            ConfigurationError,
            "no credentials",
        ),
        ({"AWS_PROFILE": "nobody"}, "", "", ConfigurationError, "nobody"),
    ],
)
def test_what_is_wrong_is_said_before_anything_changes(
    s3: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    bucket: str,
    lines: str,
    expected: type[OpsError],
    words: str,
) -> None:
    bucket = bucket or s3.bucket()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    store = stores.store(s3, bucket, tmp_path, lines)
    with pytest.raises(expected, match=words) as caught:
        store.check()
    assert caught.value.hint
    assert {each.split()[0] for each in s3.requests} <= {"GET"}
