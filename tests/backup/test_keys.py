"""Keys: what is one, and what is said about one that is not; a secret is never shown."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from pydantic import SecretStr

from ops.backup import keys
from ops.kernel.errors import ConfigurationError, NotPermitted
from tests.support.vault import Vault

KEY = pyrage.x25519.Identity.from_str(
    "AGE-SECRET-KEY-1MY9QRV2Y3ADCER8V0AN65J7CQTY24P490787ENQ8YEYGCFYHCVQSLQ8RQA"
)  # the same in each process of the tests, whose names carry it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age1x", "key 2 is no public key: age1x"),
        ("ssh-ed25519 AAAA", "key 2 is no public key: ssh-ed25519 AAAA"),
        ("", "key 2 is no public key"),
        (str(KEY), "key 2 is a secret key"),
        (str(KEY).lower(), "key 2 is a secret key"),
    ],
)
def test_a_wrong_recipient_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        keys.recipients([str(KEY.to_public()), text])
    shown = f"{caught.value} {caught.value.hint}"
    assert str(KEY) not in shown and str(KEY).lower() not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# only a comment\n\n", "holds no secret key"),
        ("AGE-SECRET-KEY-1X", "no secret key that can be used"),
        ("hunter2hunter2", "no secret key that can be used"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "no secret key that can be used"),
    ],
)
def test_a_wrong_identity_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        keys.parse(SecretStr(text))
    assert "hunter2" not in f"{caught.value}{caught.value.why}"


def test_a_file_of_age_keygen_is_read_and_hidden(tmp_path: Path) -> None:
    vault = Vault(tmp_path, "postgresql://x@/y", 'identity = "file:key"')
    (tmp_path / "key").write_text(f"# created: now\n# public key: {KEY.to_public()}\n{KEY}\n")
    (tmp_path / "key").chmod(0o600)
    context = vault.context()
    text = keys.identity(context)
    assert text is not None
    (found,) = keys.parse(text)
    assert str(found) == str(KEY)
    assert str(KEY) not in context.secrets.redactor.text(f"error: {KEY} is broken")


def test_a_key_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    context = Vault(tmp_path, "postgresql://x@/y", 'identity = "file:key"').context()
    with pytest.raises(ConfigurationError, match="secret file:key is missing"):
        keys.identity(context)
    (tmp_path / "key").write_text(str(KEY))
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(NotPermitted, match="can be read by everybody"):
        keys.identity(context)


def test_without_a_reference_there_is_no_key(tmp_path: Path) -> None:
    assert keys.identity(Vault(tmp_path, "postgresql://x@/y").context()) is None
