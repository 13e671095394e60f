"""What is known of a backup: a JSON file beside its archive, written when the archive is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from ops.kernel.errors import ConfigurationError

FORMAT: Final = 1
SUFFIX: Final = ".json"
Level = Literal["hash", "decode", "data", "full"]
LEVELS: Final[tuple[Level, ...]] = ("hash", "decode", "data", "full")
Verdict = Literal["PASSED", "FAILED", "UNVERIFIABLE"]


@dataclass(frozen=True)
class Table:
    """A table as it was in the snapshot of the dump.

    Args:
        schema: Its schema; the database itself for MySQL.
        name: Its name.
        rows: How many rows it had, counted, not estimated.
    """

    schema: str
    name: str
    rows: int


@dataclass(frozen=True)
class Proof:
    """One verification of an archive.

    Args:
        level: How far it went.
        verdict: PASSED, FAILED, or UNVERIFIABLE: it could not be tried here.
        reason: Why it did not pass, empty when it did.
        at: When, ISO 8601 in UTC.
        seconds: How long it took.
        invops: Version that did it.
    """

    level: Level
    verdict: Verdict
    reason: str
    at: str
    seconds: float
    invops: str


@dataclass(frozen=True)
class Inventory:
    """What a database holds.

    Args:
        system: Identity of the database, independent of how it is reached: for PostgreSQL
            "<system identifier>/<database oid>".
        server_version: E.g. "15.9".
        tables: All that belong to the application, in the order of their names.
        extensions: Version by name, without plpgsql.
        large_objects: How many.
        roles: Names of those that own something in it or have rights there: a restore needs them.
    """

    system: str
    server_version: str
    tables: tuple[Table, ...]
    extensions: Mapping[str, str] = field(default_factory=dict)
    large_objects: int = 0
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A backup.

    Args:
        id: "20261121T093000Z-3fa2c1": time in UTC and a random part; the archive is named after it.
        app: Name of the application.
        environment: Of which environment.
        engine: `postgres` or `mysql`.
        database: Name of the database.
        created: When the dump began, ISO 8601 in UTC.
        seconds: How long it took.
        archive: Name of the archive in the store.
        size: Its bytes.
        sha256: Hash of its bytes as stored, as `sha256sum` prints it.
        plain_size: Bytes of the dump inside.
        plain_sha256: Hash of the dump inside.
        recipients: age public keys it is encrypted for; none: not encrypted.
        tool: What made the dump, e.g. "pg_dump 15.9".
        inventory: What the database held in the snapshot of the dump.
        purpose: `task`, `deploy` or `restore` (the safety backup).
        run_id: Run that made it.
        actor: Who.
        release: Release that a deploy made it for, empty otherwise.
        proofs: Verifications, oldest first.
    """

    id: str
    app: str
    environment: str
    engine: str
    database: str
    created: str
    seconds: float
    archive: str
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str
    recipients: tuple[str, ...]
    tool: str
    inventory: Inventory
    purpose: str = "task"
    run_id: str = ""
    actor: str = ""
    release: str = ""
    proofs: tuple[Proof, ...] = ()

    @property
    def file(self) -> str:
        """Name of the manifest itself in the store."""
        return f"{self.id}{SUFFIX}"

    @property
    def proof(self) -> Proof | None:
        """The newest verification that could be tried."""
        tried = [each for each in self.proofs if each.verdict != "UNVERIFIABLE"]
        return tried[-1] if tried else None

    @property
    def proved(self) -> bool:
        """Whether the newest verification passed by restoring: level data or full."""
        newest = self.proof
        return (
            newest is not None and newest.verdict == "PASSED" and newest.level in ("data", "full")
        )

    def with_proof(self, proof: Proof) -> Manifest:
        """Return it with one more verification."""
        return replace(self, proofs=(*self.proofs, proof))


def write(manifest: Manifest) -> bytes:
    """Return the file's content; `checksum` covers everything but itself and the proofs."""
    body = asdict(manifest)
    document = {"format": FORMAT, **body, "checksum": _checksum(body)}
    return (json.dumps(document, indent=1) + "\n").encode()


def read(content: bytes, name: str) -> Manifest:
    """Read a manifest.

    Args:
        content: Of the file.
        name: Of the file, for messages.

    Raises:
        ConfigurationError: It is damaged, was edited, or is of a newer invops.
    """
    try:
        body: dict[str, Any] = json.loads(content)
        form, checksum = body.pop("format"), body.pop("checksum")
        if form != FORMAT:
            raise ConfigurationError(
                f"{name} has format {form}, this invops reads {FORMAT}", hint="update invops"
            )
        edited = checksum != _checksum(body)
        inventory = body.pop("inventory")
        tables = tuple(Table(**each) for each in inventory.pop("tables"))
        roles = tuple(inventory.pop("roles", ()))
        proofs = tuple(Proof(**each) for each in body.pop("proofs"))
        recipients = tuple(body.pop("recipients"))
        manifest = Manifest(
            **body,
            inventory=Inventory(**inventory, tables=tables, roles=roles),
            proofs=proofs,
            recipients=recipients,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{name} is not a manifest", why=str(error)) from error
    if edited:
        raise ConfigurationError(
            f"{name} was edited: its checksum does not fit",
            hint="take another backup: inv backup.list",
        )
    return manifest


def _checksum(body: Mapping[str, Any]) -> str:
    covered = {key: value for key, value in body.items() if key != "proofs"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
