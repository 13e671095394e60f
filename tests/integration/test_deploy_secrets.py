"""A secret reaches the service that was given it and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from ops.hosts import orphans
from tests.support.project import Project, Ran

BY_VARIABLE = "sentinel%by&variable 6f1c"
BY_FILE = "sentinel%by&file 9a2e"
SERVICE = """secrets = {{ KEY = "env:SHOP_KEY", GREETING = "file:{path}" }}
"""
OTHER = """
[services.other]
command = "sleep 1000"

[hooks]
before_build = ["sh -c 'env; sleep 0.3'"]

[database]
"""


@dataclass
class Watch:
    """What every process on this machine showed while a block ran.

    Args:
        sentinels: What is looked for.
        shown: Command lines with one of them.
        given: Programs of the daemon, or names of processes, with one in their environment.
    """

    sentinels: list[str]
    shown: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)

    def look(self) -> None:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                line = "\0".join(process.cmdline())
                variables = process.environ()
                if process.pid == os.getpid():
                    continue
                self.shown |= {line} if any(each in line for each in self.sentinels) else set()
                if any(each in str(list(variables.values())) for each in self.sentinels):
                    marker = variables.get(orphans.VARIABLE, "").rpartition(":")[2]
                    self.given.add(marker or line)

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()

        def go_on() -> None:
            while not stop.wait(0.05):
                self.look()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def forms(value: str) -> list[str]:
    return [value, quote(value), quote(value, safe=""), base64.b64encode(value.encode()).decode()]


def database_dump(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


@pytest.fixture
def secretive(tiny: Project) -> Project:
    secret = tiny.folder.parent / "greeting"
    secret.touch(mode=0o600)
    secret.write_text(BY_FILE + "\n")
    tiny.edit("ops.toml", 'live = "/live"\n', 'live = "/live"\n' + SERVICE.format(path=secret))
    tiny.edit("ops.toml", "[database]\n", OTHER)
    tiny.commit("with secrets")
    return tiny


def test_secrets_are_nowhere_but_in_their_service(secretive: Project) -> None:
    variables = {"SHOP_KEY": BY_VARIABLE}
    watch = Watch([BY_VARIABLE, BY_FILE])
    said: list[Ran] = []
    with watch.watching():
        said.append(secretive.deploy("--verbose", **variables))
        assert said[0].code == 0, said[0].text
        said.append(secretive.deploy("--dry-run", "--format", "json", **variables))
        passwords = json.loads((secretive.base / "postgres" / "credentials.json").read_text())
        own = [passwords[name] for name in passwords if name.endswith(secretive.environment)]
        secretive.put("behaviour", "crash")
        secretive.put("db/2_price.sql", "ALTER TABLE orders ADD COLUMN price int;\n")
        secretive.commit("migrates and crashes")
        with (passwords_watch := Watch([*own, passwords["postgres"]])).watching():
            said.append(secretive.deploy("--format", "json", **variables))
        assert said[-1].code == 1
        for words in ("runs.list", "releases", "config.show", "audit.list", "audit.export"):
            said.append(secretive.run(words, "--format", "json", **variables))
    assert secretive.get("/health").json["greeting"] == BY_FILE

    passwords = json.loads((secretive.base / "postgres" / "credentials.json").read_text())
    own = [passwords[name] for name in passwords if name.endswith(secretive.environment)]
    assert len(own) == 1
    sentinels = [*forms(BY_VARIABLE), *forms(BY_FILE), *own, passwords["postgres"]]

    texts = {f"answer {number}": ran.text for number, ran in enumerate(said)}
    texts["journal"] = database_dump(secretive.folder / ".ops" / "state.db")
    kept = [*secretive.folder.glob(".ops/**/*"), *secretive.own.rglob("*")]
    kept += [*secretive.base.glob("supervisor/*"), *secretive.base.glob("supervisor/conf.d/*")]
    kept += [*secretive.base.glob("supervisor/logs/*")]
    texts |= {str(path): path.read_text(errors="replace") for path in kept if path.is_file()}
    found = [name for name, text in texts.items() if any(each in text for each in sentinels)]
    assert found == []

    environment = secretive.environment
    mine = {each for each in watch.given if "ops.program" not in each}
    assert mine <= {f"{environment}-blue-web", f"{environment}-green-web"}
    assert f"{environment}-blue-web" in mine
    assert watch.shown == passwords_watch.shown == set()


def test_files_with_secrets_are_private(secretive: Project) -> None:
    assert secretive.deploy(SHOP_KEY=BY_VARIABLE).code == 0
    services = secretive.base / "supervisor" / "services" / f"{secretive.environment}-blue"
    holding = [
        path
        for path in [*secretive.base.rglob("*.json"), *services.iterdir()]
        if BY_VARIABLE in path.read_text(errors="replace")
    ]
    assert holding
    for path in holding:
        assert path.stat().st_mode & 0o777 == 0o600


def test_missing_secret_stops_before_the_first_change(secretive: Project) -> None:
    ran = secretive.deploy()
    assert ran.code == 3
    assert "SHOP_KEY" in ran.text
    assert secretive.processes() == {}
    assert not (secretive.folder / ".ops" / "state.db").exists()
