from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.kernel import secrets
from ops.kernel.errors import ConfigurationError, NotPermitted, OpsError
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets

LONGER = "use a longer one: openssl rand -hex 16"
WHY_LONGER = "it could not be hidden in output without garbling other text"


def _secrets(folder: Path = Path("."), **environ: str) -> Secrets:
    return Secrets(folder, environ=environ, redactor=Redactor())


def _file(folder: Path, data: bytes, mode: int = 0o600) -> Secrets:
    (folder / "key").write_bytes(data)
    (folder / "key").chmod(mode)
    return _secrets(folder)


def test_a_variable_is_resolved_and_hidden() -> None:
    found = _secrets(KEY="open-sesame")

    value = found.resolve("env:KEY")

    assert value.get_secret_value() == "open-sesame"
    assert "open-sesame" not in repr(value) + str(value)
    assert found.redactor.text("open-sesame") == "***"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"open-sesame", "open-sesame"),
        (b"open-sesame\n", "open-sesame"),
        (b"open-sesame\r\n", "open-sesame"),
        (b" open-sesame \n\n", " open-sesame \n"),
    ],
)
def test_a_file_is_resolved_without_its_last_line_break(
    tmp_path: Path, data: bytes, value: str
) -> None:
    found = _file(tmp_path, data)

    assert found.resolve("file:key").get_secret_value() == value
    assert found.resolve(f"file:{tmp_path}/key").get_secret_value() == value


def test_variables_of_the_process_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "open-sesame")

    assert Secrets(redactor=Redactor()).resolve("env:A_KEY").get_secret_value() == "open-sesame"


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("env:NONE", "secret env:NONE is missing: variable NONE is not set", "export NONE=..."),
        ("env:EMPTY", "secret env:EMPTY is missing: variable EMPTY is not set", "export EMPTY=..."),
        ("env:SHORT", f"secret env:SHORT has fewer than 6 characters: {WHY_LONGER}", LONGER),
        ("file:none", "secret file:none is missing: there is no file {folder}/none", ""),
        ("plain", "a secret must be a reference, not the secret itself: 'env:NAME' or 'file:PATH'", ""),
        ("postgres://u:p@h/d", "a secret must be a reference, not the secret itself: 'env:NAME' or 'file:PATH'", ""),
        ("vualt:x", "a secret has an unknown kind of reference: known are 'env:NAME' or 'file:PATH'", ""),
        ("ENV:X", "a secret must be a reference, not the secret itself: 'env:NAME' or 'file:PATH'", ""),
        ("env:", "a secret must name a variable after env:", ""),
        ("env:A-B", "a secret must name a variable after env:", ""),
        ("file: ", "a secret names nothing after file:", ""),
        ("file:a\0b", "a secret must be a reference, not the secret itself: 'env:NAME' or 'file:PATH'", ""),
    ],
)  # fmt: skip
def test_a_wrong_reference_is_named(
    tmp_path: Path, reference: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _secrets(tmp_path, SHORT="12345", EMPTY="").resolve(reference)

    assert str(caught.value) == message.replace("{folder}", str(tmp_path))
    assert caught.value.hint == hint


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o777])
def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(NotPermitted) as caught:
        _file(tmp_path, b"open-sesame", mode).resolve("file:key")

    assert str(caught.value) == "secret file:key can be read by everybody"
    assert caught.value.hint == f"chmod 600 {tmp_path}/key"


def test_a_file_of_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="secret file:key is not text in UTF-8"):
        _file(tmp_path, b"\xff\xfe\xff\xfe\xff").resolve("file:key")


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(mode=0o700)

    with pytest.raises(OpsError, match="cannot read secret file:key: Is a directory"):
        _secrets(tmp_path).resolve("file:key")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPermitted, match="cannot read secret file:key: Permission denied"):
        _file(tmp_path, b"open-sesame", 0o000).resolve("file:key")


def test_another_kind_of_reference_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_schemes", dict(secrets._schemes))
    secrets.register_scheme("vault", lambda rest, _: f"value of {rest}")
    found = _secrets()

    assert found.resolve("vault:shop/key").get_secret_value() == "value of shop/key"
    assert found.redactor.text("value of shop/key") == "***"
    assert secrets.fault("vault:x") == ""
    assert secrets.fault("valt:x") == (
        "has an unknown kind of reference: known are 'env:NAME', 'file:PATH' or 'vault:...', "
        "did you mean 'vault'?"
    )


@pytest.mark.parametrize("name", ["env", "file", "Vault", "a:b", ""])
def test_a_kind_is_added_once_and_is_a_word(name: str) -> None:
    with pytest.raises(ValueError, match="is taken or not a word"):
        secrets.register_scheme(name, lambda rest, _: rest)
