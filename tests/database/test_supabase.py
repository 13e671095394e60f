"""Checks of a Supabase project against a server that stands in for it: URL, keys, endpoints; no key is ever shown."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.database import supabase
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.settings.models import Options
from tests.support import runs
from tests.support.commands import Command
from tests.support.postgres import Postgres
from tests.support.roles import Site

FUTURE = int(time.time()) + 10**7


def key(role: str = "anon", **claims: object) -> str:
    """Return a key as Supabase signs it, with a signature that is none."""
    made = {"iss": "supabase", "ref": "abcdefghij", "role": role, "exp": FUTURE, **claims}
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "typ": "JWT"}, made)]
    text = [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts]
    return ".".join([*text, "c2lnbmF0dXJlLW9mLXRlc3Q"])


@dataclass
class Project:
    """A stand-in for a project.

    Args:
        url: Where it listens.
        keys: That it takes.
        open: Paths that it answers without a key.
    """

    url: str
    keys: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def running() -> Iterator[Project]:
    project = Project("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in ("/rest/v1/", "/auth/v1/health")
            taken = self.headers.get("apikey") in project.keys or self.path in project.open
            self.send_response(200 if known and taken else 401 if known else 404)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    project.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield project
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(running: Project) -> Project:
    running.keys, running.open = {key("anon"), key("service_role")}, set()
    return running


def context(tmp_path: Path, url: str = "", anon: str = "", service: str = "") -> Context:
    made = runs.context(runs.project(tmp_path))
    values = {"supabase_url": url, "supabase_anon_key": anon, "supabase_service_key": service}
    options = Options.model_validate(
        {name: SecretStr(value) for name, value in values.items() if value}
    )
    settings = made.settings.model_copy(update={"options": options})
    return Context(settings, made.secrets, made.deadline)


def states(found: list[supabase.Check]) -> dict[str, str]:
    return {each.name: each.state for each in found}


def test_a_project_that_fits_is_all_ok(tmp_path: Path, project: Project) -> None:
    found = supabase.check(context(tmp_path, project.url, key("anon"), key("service_role")))
    assert set(states(found).values()) == {"ok"}, found
    assert set(states(found)) == {
        "SUPABASE_URL",
        "SUPABASE_ANON_KEY",
        "SUPABASE_SERVICE_KEY",
        *(
            f"{path} {how}"
            for path in ("/rest/v1/", "/auth/v1/health")
            for how in ("with the anon key", "with the service_role key", "without a key")
        ),
    }


def test_without_variables_nothing_is_checked(tmp_path: Path) -> None:
    assert supabase.check(context(tmp_path)) == []


def test_an_endpoint_that_answers_without_a_key_or_refuses_the_key_is_wrong(
    tmp_path: Path, project: Project
) -> None:
    project.keys.remove(key("anon"))
    project.open.add("/rest/v1/")
    found = states(supabase.check(context(tmp_path, project.url, key("anon"))))
    assert found["/auth/v1/health with the anon key"] == "wrong"
    assert found["/rest/v1/ without a key"] == "wrong"
    assert found["/auth/v1/health without a key"] == "ok"
    assert found["SUPABASE_SERVICE_KEY"] == "missing"


KEYS = {
    "expired": (key(exp=int(time.time()) - 5), "expired"),
    "roles swapped": (key("service_role"), "its role is service_role, not anon"),
    "strange role": (key("root-of-all"), "its role is another or none, not anon"),
    "another project": (key(ref="zzzzzzzzzz"), "it is for another project than the URL"),
    "no end": (key(exp="soon"), "its end is no time"),
    "end is no number": (key(exp=float("nan")), "its end is no time"),
    "no key": ("hunter2-hunter2", "neither a JWT nor a key of the new kind"),
    "three words": ("a.b.c-d-e-f", "neither a JWT nor a key of the new kind"),
    "a list": ("W10.W10.W10", "neither a JWT nor a key of the new kind"),
    "not to be sent": ("pä.ss.wörd\n", "neither a JWT nor a key of the new kind"),
    "secret as public": ("sb_secret_abcdef", "for service_role"),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_wrong_key_is_told_and_not_shown(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, message = KEYS[case]
    monkeypatch.setattr(supabase, "_endpoints", lambda *_: [])
    found = supabase.check(context(tmp_path, "https://abcdefghij.supabase.co", text))
    checked = next(each for each in found if each.name == "SUPABASE_ANON_KEY")
    assert (checked.state, message in checked.detail) == ("wrong", True), checked
    assert text not in str(found)


def test_a_key_that_no_header_can_carry_is_not_sent(tmp_path: Path, project: Project) -> None:
    found = states(supabase.check(context(tmp_path, project.url, "pä.ss.wörd\n")))
    assert found["SUPABASE_ANON_KEY"] == "wrong"
    assert "/rest/v1/ with the anon key" not in found


def test_keys_of_the_new_kind_are_taken(tmp_path: Path, project: Project) -> None:
    new = "sb_publishable_abcdef"
    project.keys.add(new)
    found = states(supabase.check(context(tmp_path, project.url, new)))
    assert found["SUPABASE_ANON_KEY"] == found["/rest/v1/ with the anon key"] == "ok"


URLS = {
    "path": "https://abc.supabase.co/rest/v1",
    "http": "http://abc.supabase.co",
    "no host": "https://",
    "brackets": "http://[abc",
    "user": "https://me@abc.supabase.co",
}


@pytest.mark.parametrize("case", URLS)
def test_a_wrong_url_is_told_and_nothing_is_asked(tmp_path: Path, case: str) -> None:
    found = states(supabase.check(context(tmp_path, URLS[case], key("anon"))))
    assert found["SUPABASE_URL"] == "wrong"
    assert not any(name.startswith("/") for name in found)


def test_nobody_listens(tmp_path: Path) -> None:
    found = states(supabase.check(context(tmp_path, "http://127.0.0.1:9", key("anon"))))
    assert found["/rest/v1/ with the anon key"] == "wrong"


def test_the_report_of_db_extensions_has_the_rows_and_exit_code_1(
    tmp_path: Path,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Postgres.begin() as server:
        name = server.create()
        users = {"database_url": "owner"}
        site = Site(tmp_path, server, name, users, Command(capsys), monkeypatch)
        site.write('extensions = ["pgcrypto"]')
        variables = {"SUPABASE_URL": project.url, "SUPABASE_ANON_KEY": key("anon")}
        good = site("db.extensions", **variables)
        assert good.code == 0, good.err
        assert "SUPABASE_SERVICE_KEY" in good.out and key("anon") not in good.out
        project.keys.clear()
        bad = site("db.extensions", "--format", "json", **variables)
    assert bad.code == exits.GENERAL
    assert bad.json["status"] == "difference"
    assert {each["state"] for each in bad.json["supabase"]} == {"ok", "missing", "wrong"}
