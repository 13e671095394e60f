"""What `setup.server` is told: addresses, keys, which user deploys."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError
from ops.kernel.secrets import Secrets
from ops.setup.server import operation, plugin, reached
from ops.setup.server.wanted import Wanted

KEY = "ssh-ed25519 " + "A" * 68
OPS = """\
[app]
name = "shop"
default_environment = "staging"
[environments.staging]
target = "compose"
"""


def context(folder: Path, more: str = "") -> Context:
    (folder / "ops.toml").write_text(OPS + more)
    made = settings.load(start=folder, environ={})
    return Context(made, Secrets(folder, environ={"TOKEN": "it's $ecret"}), Deadline(10))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("web1", "root@web1"),
        ("web1:2222", "root@web1:2222"),
        ("anna@web1", "anna@web1"),
    ],
)
def test_server_without_a_user_is_entered_by_root(host: str, expected: str) -> None:
    assert reached.address(host) == expected


@pytest.mark.parametrize("host", ["", "a b", "web1:0", "-oProxyCommand=x"])
def test_what_is_no_server_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        reached.address(host)


@pytest.mark.parametrize("text", [KEY, f"{KEY} anna@laptop\n", f"\n{KEY}==\n"])
def test_public_key_is_one_line(text: str) -> None:
    assert reached.public_key(text, "file") == text.strip()


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", f"{KEY}\n{KEY}", f"# {KEY}"]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="file is no public key"):
        reached.public_key(text, "file")


@pytest.mark.parametrize(
    ("more", "host", "user"),
    [
        ("", "root@web1", "deploy"),
        ("", "anna@web1", "anna"),
        ('hosts = ["bert@web1", "carl@web1:2222"]\n', "root@web1", "bert"),
        ('hosts = ["bert@web1", "carl@web1:2222"]\n', "root@web1:2222", "carl"),
        ('hosts = ["bert@web2"]\n', "root@web1", "deploy"),
    ],
)
def test_user_who_deploys_is_the_one_of_ops_toml(
    tmp_path: Path, more: str, host: str, user: str
) -> None:
    assert operation._user(context(tmp_path, more), host) == user


def test_user_nobody_has_a_key_for_is_refused(tmp_path: Path) -> None:
    made = context(tmp_path)
    with pytest.raises(ConfigurationError, match="nobody says which key lets user deploy in"):
        operation._key(made, "root@web1", "deploy", "")
    assert operation._key(made, "anna@web1", "anna", "") == ""


def test_processes_of_this_machine_need_no_server(tmp_path: Path) -> None:
    made = context(tmp_path, '[environments.here]\ntarget = "local"\n')
    local = settings.load("here", start=tmp_path, environ={})
    with pytest.raises(ConfigurationError, match="needs no server"):
        operation.plan(Context(local, made.secrets, made.deadline), "web1", "")


def test_values_of_secrets_are_not_in_what_is_only_looked_at(tmp_path: Path) -> None:
    more = 'environment = { MODE = "good" }\nsecrets = { KEY = "env:TOKEN" }\n'
    about = Wanted(context(tmp_path, more), "deploy", KEY)
    assert "content" not in about.item("variables")
    whole = about.item("variables", whole=True)
    assert whole["content"].splitlines()[1:] == [
        "APP_NAME=shop",
        "BASE_FOLDER=/var/lib/invops/shop-staging",
        "ENVIRONMENT=staging",
        """KEY='it'"'"'s $ecret'""",
        "MODE=good",
    ]
    assert whole["path"] == "/etc/invops/shop-staging.env"


def test_certificate_is_wanted_with_a_domain_only(tmp_path: Path) -> None:
    assert "certificate" not in Wanted(context(tmp_path), "deploy", "").names
    made = context(tmp_path, 'domain = "shop.example.org"\nacme_ca = "missing.pem"\n')
    about = Wanted(made, "deploy", "")
    assert about.names[-1] == "certificate"
    assert about.item("packages") == {"more": ["certbot"]}
    with pytest.raises(ConfigurationError, match=r"missing\.pem, acme_ca of staging"):
        about.item("certificate")


def test_plugin_for_another_processor_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="has no Docker Compose 2") as caught:
        plugin.here(context(tmp_path), "debian 12", "s390x")
    assert "the server is linux s390x" in str(caught.value)
