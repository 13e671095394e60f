"""`inv backup` and its sisters with S3 as the destination, from a shell's point of view."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyrage
import pytest

from tests.support import forks
from tests.support import s3 as stores
from tests.support.local import eventually
from tests.support.places import clean_variables
from tests.support.postgres import Postgres
from tests.support.s3 import CREDENTIALS, Fault, Service

OPS_TOML = """
[app]
name = "shop"
default_environment = "local"
[services.web]
command = "true"
[database]
engine = "postgres"
[backup]
destination = "s3://{bucket}/nightly"
s3_endpoint = "{endpoint}"
s3_region = "us-east-1"
recipients = ["{recipient}"]
identity = "file:identity"
keep_last = 1
keep_daily = 0
keep_weekly = 0
keep_monthly = 0
[environments.local]
target = "local"
database_url = "env:SHOP_DATABASE"
"""
PREFIX = "nightly/shop/local/"


@dataclass(frozen=True)
class Shop:
    folder: Path
    url: str
    bucket: str
    service: Service

    def start(self, *words: str, **variables: str) -> forks.Process:
        own = {"SHOP_DATABASE": self.url, "OPS_HOME": str(self.folder / "home"), **CREDENTIALS}
        argv = [sys.executable, "-m", "ops.program", *words]
        return forks.start(argv, self.folder, {**clean_variables(), **own, **variables})

    def run(self, *words: str, **variables: str) -> tuple[int, str, str]:
        with self.start(*words, **variables) as process:
            out, err = process.communicate(timeout=200)
        return process.wait(), out, err

    def good(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert code == 0, out + err
        return out

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.good("backup.list", "--format", "json"))[
            "backups"
        ]
        return found

    def objects(self) -> list[str]:
        client = self.service.client()
        found = client.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return [each["Key"] for each in found]

    def unfinished(self) -> int:
        client = self.service.client()
        return len(client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with stores.service() as running:
        yield running


@pytest.fixture
def shop(server: Postgres, service: Service, tmp_path: Path) -> Shop:
    service.calm()
    name = server.create()
    with server.connect(name) as connection:
        connection.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 1000) n")
        # Larger than a part, whatever compresses it.
        connection.execute(
            "CREATE TABLE files AS SELECT n, (SELECT string_agg(gen_random_uuid()::text, '')"
            " FROM generate_series(1, 1000) WHERE n > 0) AS body FROM generate_series(1, 1100) n"
        )
    key = pyrage.x25519.Identity.generate()
    bucket = service.bucket()
    (tmp_path / "identity").write_text(f"{key}\n")
    (tmp_path / "identity").chmod(0o600)
    text = OPS_TOML.format(bucket=bucket, endpoint=service.endpoint, recipient=key.to_public())
    (tmp_path / "ops.toml").write_text(text)
    return Shop(tmp_path, server.url(name), bucket, service)


def test_backups_are_taken_listed_proved_and_pruned(shop: Shop) -> None:
    shop.good("backup")
    shop.good("backup.verify")
    shop.good("backup")
    newest, proved = shop.listed()
    assert len(shop.objects()) == 4
    assert all(each.startswith(PREFIX) for each in shop.objects())
    shop.good("backup.verify")
    shop.good("backup.prune", "--confirm", "local")
    assert [each["id"] for each in shop.listed()] == [newest["id"]]
    assert sorted(shop.objects()) == sorted(
        f"{PREFIX}{newest['id']}{suffix}" for suffix in (".dump.zst.age", ".json")
    )
    assert proved["id"] != newest["id"]


def test_a_dry_run_only_reads(shop: Shop) -> None:
    code, out, err = shop.run("backup", "--dry-run")
    assert code == 10, out + err
    assert {each.split()[0] for each in shop.service.requests} <= {"GET", "HEAD"}


def test_no_secret_is_in_any_request_or_output(shop: Shop) -> None:
    out = shop.good("backup", "--debug")
    secret = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    logs = "".join(each.read_text() for each in (shop.folder / ".ops" / "logs").iterdir())
    assert secret not in out + logs + "".join(map(str, shop.service.headers))


@pytest.mark.parametrize(
    ("variables", "fault", "code", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, None, 3, "no credentials"),
        (
            {},
            Fault("GET", "list-type", "status", 404, "NoSuchBucket", times=99),
            3,
            "make the bucket",
        ),
        (
            {},
            Fault("GET", "list-type", "status", 403, "AccessDenied", times=99),
            5,
            "s3:ListBucket",
        ),
        ({}, Fault("POST", "uploads", "status", 403, "AccessDenied", times=99), 5, "s3:PutObject"),
        ({}, Fault("GET", "list-type", "status", 500, times=99), 4, "try again later"),
        ({}, Fault("PUT", "partNumber=2", "status", 500, times=99), 4, "try again later"),
    ],
    ids=["credentials", "bucket", "permission", "permission to write", "down", "down later"],
)
def test_what_is_wrong_is_said_with_its_code_and_leaves_nothing(
    shop: Shop, variables: dict[str, str], fault: Fault | None, code: int, words: str
) -> None:
    if fault is not None:
        shop.service.faults.append(Fault(**{**vars(fault), "hits": 0}))
    found, out, err = shop.run("backup", **variables)
    assert found == code, out + err
    assert words in out + err
    assert "Traceback" not in out + err
    assert not shop.objects()
    assert shop.unfinished() == 0


def test_a_killed_backup_is_not_listed_and_the_next_one_cleans_up(shop: Shop) -> None:
    shop.service.faults.append(Fault("PUT", "partNumber=2", "wait", seconds=20, times=99))
    with shop.start("backup") as process:
        assert eventually(lambda: any("partNumber=2" in each for each in shop.service.requests), 90)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, 9)
    shop.service.calm()
    assert shop.listed() == []
    assert shop.unfinished() == 1
    shop.good("backup")
    assert shop.unfinished() == 0
    assert len(shop.listed()) == 1
    assert eventually(lambda: not any(each.is_running() for each in children), 20)
