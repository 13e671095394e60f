"""Archives: written in one pass, and everything compared when they are read."""

from __future__ import annotations

import io
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
import zstandard
from pydantic import SecretStr

from ops.backup import archive, keys
from ops.backup.manifest import Manifest
from ops.backup.storage.folder import FolderStore
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, Interrupted, OpsError, TimeLimitReached
from tests.conftest import require
from tests.support import runs
from tests.support.vault import manifest

PLAIN = random.Random(4).randbytes(300_000) + b"row\n" * 200_000
KEY, OTHER = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
SECRET = SecretStr(f"# a comment\n{KEY}\n")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return runs.context(runs.project(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store", None)


def written(context: Context, store: FolderStore, recipients: tuple[str, ...]) -> Manifest:
    made = manifest(recipients=recipients)
    with store.writer(made.archive) as sink:
        facts = archive.write(context, io.BytesIO(PLAIN), sink, recipients)
    return replace(
        made,
        size=facts.size,
        sha256=facts.sha256,
        plain_size=facts.plain_size,
        plain_sha256=facts.plain_sha256,
    )


def change(store: FolderStore, made: Manifest, content: bytes) -> None:
    (Path(store.where) / made.archive).write_bytes(content)


def content(store: FolderStore, made: Manifest) -> bytes:
    return (Path(store.where) / made.archive).read_bytes()


@pytest.mark.parametrize(
    "recipients", [(), (str(KEY.to_public()),), (str(OTHER.to_public()), str(KEY.to_public()))]
)
def test_round_trip(context: Context, store: FolderStore, recipients: tuple[str, ...]) -> None:
    made = written(context, store, recipients)
    assert (made.plain_size, made.size) == (len(PLAIN), len(content(store, made)))
    assert made.size < len(PLAIN)
    sink = io.BytesIO()
    archive.copy(context, made, store, sink, SECRET if recipients else None)
    assert sink.getvalue() == PLAIN


def test_an_encrypted_archive_is_readable_without_us(
    context: Context, store: FolderStore, tmp_path: Path
) -> None:
    age, zstd = require("age", "age"), require("zstd", "zstd")
    made = written(context, store, (str(KEY.to_public()),))
    (tmp_path / "key").write_text(SECRET.get_secret_value())
    opened = subprocess.run(
        [age, "-d", "-i", tmp_path / "key"],
        input=content(store, made),
        capture_output=True,
        check=True,
    ).stdout
    subprocess.run([zstd, "-q", "-t"], input=opened, check=True)
    plain = subprocess.run([zstd, "-q", "-d"], input=opened, capture_output=True, check=True).stdout
    assert plain == PLAIN


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_ssh_keys_are_keys(context: Context, store: FolderStore, tmp_path: Path, kind: str) -> None:
    keygen = require("ssh-keygen", "openssh-client")
    subprocess.run([keygen, "-q", "-t", kind, "-N", "", "-f", tmp_path / "key"], check=True)
    made = written(context, store, ((tmp_path / "key.pub").read_text(),))
    sink = io.BytesIO()
    archive.copy(context, made, store, sink, SecretStr((tmp_path / "key").read_text()))
    assert sink.getvalue() == PLAIN


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda data: _flip(data, 10), "as stored it has another SHA-256"),
        (lambda data: _flip(data, 100), "as stored it has another SHA-256"),
        (lambda data: _flip(data, len(data) // 2), "as stored it has another SHA-256"),
        (lambda data: _flip(data, len(data) - 1), "as stored it has another SHA-256"),
        (lambda data: data[:-1], "as stored it has another size"),
        (lambda data: data[:1000], "as stored it has another size"),
        (lambda data: b"", "as stored it has another size"),
        (lambda data: data + b"x", "as stored it has another size"),
    ],
)
def test_damage_is_named(
    context: Context, store: FolderStore, encrypted: bool, harm: object, said: str
) -> None:
    made = written(context, store, (str(KEY.to_public()),) if encrypted else ())
    assert callable(harm)
    change(store, made, harm(content(store, made)))
    with pytest.raises(archive.Damaged, match=said):
        archive.copy(context, made, store, io.BytesIO(), SECRET)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plain_sha256": "0" * 64}, "decoded it has another SHA-256"),
        ({"plain_size": 5}, "decoded it has another size"),
        ({"sha256": "0" * 64}, "as stored it has another SHA-256"),
    ],
)
def test_a_manifest_of_something_else_is_named(
    context: Context, store: FolderStore, changes: dict[str, object], said: str
) -> None:
    made = replace(written(context, store, ()), **changes)  # type: ignore[arg-type]
    with pytest.raises(archive.Damaged, match=said):
        archive.copy(context, made, store, io.BytesIO(), None)


def test_an_archive_that_was_stored_cut_is_damaged(context: Context, store: FolderStore) -> None:
    """Hashes of the archive fit, but what is inside has no end."""
    made = written(context, store, ())
    change(store, made, content(store, made)[:-100])
    cut = content(store, made)
    facts = archive.write(context, io.BytesIO(cut), io.BytesIO(), ())
    fitting = replace(made, size=len(cut), sha256=facts.plain_sha256)
    with pytest.raises(archive.Damaged, match="decoded it has another size"):
        archive.copy(context, fitting, store, io.BytesIO(), None)


def test_a_wrong_key_is_no_damage(context: Context, store: FolderStore) -> None:
    made = written(context, store, (str(KEY.to_public()),))
    with pytest.raises(archive.WrongKey, match="does not open with backup") as caught:
        archive.copy(context, made, store, io.BytesIO(), SecretStr(str(OTHER)))
    assert str(KEY.to_public())[:20] in caught.value.hint and caught.value.exit_code == 3


def test_without_a_key_it_says_what_to_write(context: Context, store: FolderStore) -> None:
    made = written(context, store, (str(KEY.to_public()),))
    with pytest.raises(ConfigurationError, match="is encrypted and backup"):
        archive.copy(context, made, store, io.BytesIO(), None)


class Failing:
    """A reader and writer that fails in the middle."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.left = 3

    def read(self, size: int = -1) -> bytes:
        self.left -= 1
        if not self.left:
            raise self.error
        return random.randbytes(200_000)

    def write(self, data: bytes) -> int:
        raise self.error

    def flush(self) -> None:
        pass


ERRORS = [OpsError("disk full"), BrokenPipeError("gone"), KeyboardInterrupt(), OSError(28, "full")]


@pytest.mark.parametrize("recipients", [(), (str(KEY.to_public()),)])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_the_error_of_source_or_sink_comes_out_as_it_is(
    context: Context, store: FolderStore, recipients: tuple[str, ...], error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        archive.write(context, Failing(error), io.BytesIO(), recipients)
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        archive.write(context, io.BytesIO(PLAIN), Failing(error), recipients)
    assert caught.value is error
    made = written(context, store, recipients)
    with pytest.raises(type(error)) as caught:
        archive.copy(context, made, store, Failing(error), SECRET)
    assert caught.value is error


@pytest.mark.parametrize("recipients", [(), (str(KEY.to_public()),)])
def test_time_and_signals_end_it_in_the_middle(
    context: Context, recipients: tuple[str, ...]
) -> None:
    context.deadline.expire()
    with pytest.raises(TimeLimitReached, match="dumping"):
        archive.write(context, io.BytesIO(PLAIN), io.BytesIO(), recipients)
    context.deadline.interrupt(Interrupted("stopped by SIGINT", signal_number=2))
    with pytest.raises(Interrupted):
        archive.write(context, io.BytesIO(PLAIN), io.BytesIO(), recipients)


def test_level_and_checksum_are_those_of_the_manual(context: Context) -> None:
    sink = io.BytesIO()
    archive.write(context, io.BytesIO(PLAIN), sink, ())
    frame = zstandard.get_frame_parameters(sink.getvalue())
    assert frame.has_checksum and frame.window_size <= 8 * 2**20
    assert keys.short("age1" + "x" * 60) == "age1xxxxxxxxxxxxxxxx…"
