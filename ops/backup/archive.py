"""The bytes of a backup on their way: dump, zstd, age, SHA-256, store, in one pass and constant memory; and back.

Readable without invops: `age -d -i key | zstd -d | pg_restore`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Final, cast

import pyrage
import zstandard
from pydantic import SecretStr

from ops.backup import keys
from ops.backup.manifest import Manifest
from ops.backup.storage import Reader, Store, Writer
from ops.backup.streams import PIECE, Kept, Progress, Sink, Source
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, OpsError

LEVEL: Final = 1
"""Of zstd: archives as large as those of gzip, made while the server still writes; 2 makes them a tenth smaller."""


class Damaged(OpsError):
    """An archive is not what its manifest says: which of its sizes or hashes differs."""


class WrongKey(ConfigurationError):
    """An archive is as it was written, and the key does not open it."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        size: Bytes of the archive as stored.
        sha256: Hash of these.
        plain_size: Bytes of the dump inside.
        plain_sha256: Hash of these.
    """

    size: int
    sha256: str
    plain_size: int
    plain_sha256: str


def write(
    context: Context, source: Reader, sink: Writer, recipients: Sequence[str], expected: int = 0
) -> Written:
    """Compress, encrypt and hash a dump on its way into a store.

    Args:
        context: Gives deadline and observers.
        source: The dump.
        sink: Takes the archive.
        recipients: Public keys to encrypt for; none: not encrypted.
        expected: About how many bytes the dump has, for progress.

    Raises:
        ConfigurationError: A recipient is no public key.
        OpsError: Whatever source or sink raise.
    """
    kept = Kept()
    plain = Source(source, kept, Progress(context, "dumping", expected))
    stored = Sink(sink, kept)
    # Content size unknown and no thread of its own: constant memory. The checksum is what `zstd -t` tests.
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    compressed = compressor.stream_reader(cast("IO[bytes]", plain), read_size=PIECE, closefd=False)
    with kept.around():
        if recipients:
            pyrage.encrypt_io(compressed, stored, keys.recipients(recipients))
        else:
            while piece := compressed.read(PIECE):
                stored.write(piece)
    return Written(stored.size, stored.sha256, plain.size, plain.sha256)


def copy(
    context: Context, manifest: Manifest, store: Store, sink: Writer, identity: SecretStr | None
) -> None:
    """Give the plain dump of an archive to `sink` and compare everything with the manifest at the end.

    What the sink got is worth nothing when this raises.

    Args:
        context: Gives deadline and observers.
        manifest: Of the backup.
        store: Where its archive is.
        sink: Takes the plain dump.
        identity: Text of the secret key file; not needed when the archive is not encrypted.

    Raises:
        Damaged: A size or a hash is not that of the manifest.
        WrongKey: The archive is as it was written and does not open with this key.
        ConfigurationError: It is encrypted and there is no key, or the archive is gone.
        OpsError: Whatever store or sink raise.
    """
    opened = keys.identities(identity, manifest) if manifest.recipients else []
    kept = Kept()
    with store.reader(manifest.archive) as reader:
        stored = Source(reader, kept, Progress(context, "reading", manifest.size))
        plain = Sink(sink, kept)
        failure = None
        try:
            with kept.around():
                _open(stored, plain, opened)
        except (pyrage.DecryptError, zstandard.ZstdError, OSError) as error:
            if error is kept.error:
                raise
            failure = error
        # To the end in any case: its hash tells a damaged archive from a wrong key.
        stored.rest()
    _compare(manifest, "as stored", (stored.size, stored.sha256), (manifest.size, manifest.sha256))
    if isinstance(failure, pyrage.DecryptError):
        raise WrongKey(
            f"backup {manifest.id} does not open with backup.identity",
            why="its secret key is not one of those that the backup is encrypted for",
            hint=f"it opens with the secret key of: {', '.join(map(keys.short, manifest.recipients))}",
        )
    if failure is not None:
        raise Damaged(f"backup {manifest.id} cannot be decoded", why=str(failure))
    expected = (manifest.plain_size, manifest.plain_sha256)
    _compare(manifest, "decoded", (plain.size, plain.sha256), expected)


def _open(stored: Source, plain: Sink, opened: Sequence[keys.Identity]) -> None:
    decompressor = zstandard.ZstdDecompressor()
    decompressed = decompressor.stream_writer(cast("IO[bytes]", plain), closefd=False)
    if opened:
        pyrage.decrypt_io(stored, decompressed, opened)
        return
    while piece := stored.read(PIECE):
        decompressed.write(piece)


def _compare(
    manifest: Manifest, what: str, found: tuple[int, str], expected: tuple[int, str]
) -> None:
    if found[0] != expected[0]:
        raise Damaged(
            f"backup {manifest.id} is damaged: {what} it has another size",
            why=f"{found[0]} bytes, the manifest says {expected[0]}",
            hint="take another one: inv backup",
        )
    if found[1] != expected[1]:
        raise Damaged(
            f"backup {manifest.id} is damaged: {what} it has another SHA-256",
            why=f"{found[1][:16]}…, the manifest says {expected[1][:16]}…",
            hint="take another one: inv backup",
        )
