"""`inv backup.key`: make an age key pair, say where to keep it, prove that an archive opens with it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import pyrage
from pydantic import SecretStr

from ops.backup import archive, catalog, keys, measures, storage
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from ops.kernel.steps import Done, step

NAME: Final = "backup.agekey"


@dataclass(frozen=True)
class Pair:
    """A key pair.

    Args:
        path: File of the secret key.
        public: The public key.
    """

    path: str
    public: str


def plan(context: Context, out: str) -> Plan:
    """Plan a new key pair.

    Args:
        context: Surroundings.
        out: File of the secret key; empty for one in the folder of state, which git ignores.

    Raises:
        ConfigurationError: The file is there already, or its folder is not.
    """
    settings = context.settings
    path = Path(out).expanduser().absolute() if out else settings.ops_folder / NAME
    with files.translated(f"cannot look for {path}"):
        there, folder = path.exists() or path.is_symlink(), path.parent.is_dir()
    if there:
        raise ConfigurationError(
            f"{path} is there already: a key is never overwritten",
            why="archives that it opens would be lost",
            hint="name another file: inv backup.key --out FILE",
        )
    if out and not folder:
        raise ConfigurationError(
            f"there is no folder {path.parent}", hint=f"mkdir -p {path.parent}"
        )
    return Plan("key", settings.name, f"secret key {path}", (make.step(path=str(path)),))


def _is_made(context: Context, path: str) -> Done | None:
    place = Path(path)
    if not place.is_file():
        return None
    identity, *_ = keys.parse(SecretStr(place.read_text("utf-8")))
    return Done("it is made", Pair(path, str(identity.to_public())))


@step(title="Make an age key pair, the secret key in {path}", limit=minutes(1), check=_is_made)
def make(context: Context, path: str) -> Pair:
    """Make a key pair; the secret key goes into its file and nowhere else.

    It has no undo: a key that was made may be in use already.
    """
    place = Path(path)
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    context.secrets.redactor.add(str(identity))
    if place.parent == context.settings.ops_folder:
        files.make_folder(place.parent)
        files.write(place.parent / ".gitignore", "*\n")
    content = f"# created: {measures.now()}\n# public key: {public}\n{identity}\n"
    files.write_new(place, content.encode())
    return Pair(path, public)


def announce(report: Report, context: Context) -> Report:
    """Add to the report of a finished run what to write where, and where to keep the key."""
    pair = (report.data.get("results") or {}).get("make")
    if report.exit_code or not pair:
        return report
    settings, place = context.settings, Path(pair["path"])
    inside = place.is_relative_to(settings.folder)
    name = place.relative_to(settings.folder) if inside else place
    known = ", ".join(f'"{each}"' for each in (*settings.backup.recipients, pair["public"]))
    lines = f'[backup]\nrecipients = [{known}]\nidentity = "file:{name}"'
    kept = (
        f"Without {place} nobody can open the archives. Keep a copy of it where neither this machine nor the\n"
        "archives are, such as a password manager; never in git, never beside the archives."
    )
    return replace(
        report,
        body=f"write into ops.toml:\n\n{lines}\n\n{kept}\n",
        facts={"public key": pair["public"], "secret key": pair["path"], **report.facts},
        hints=(f"inv backup --env {settings.name}, then: inv backup.key --prove ID",),
        data={**report.data, **pair, "ops_toml": lines},
    )


def prove(context: Context, id: str) -> Report:
    """Open the beginning of an archive with `backup.identity`; its end is the business of `inv backup.verify`.

    Args:
        context: Surroundings.
        id: Of the backup.

    Raises:
        WrongKey: The archive does not open with this key.
        ConfigurationError: There is no such backup, or no key.
    """
    manifest = catalog.find(context, id)
    if not manifest.recipients:
        return Report(f"backup {manifest.id} is not encrypted: it opens without a key")
    identity = keys.identity(context)
    with contextlib.suppress(_Enough):
        archive.copy(context, manifest, storage.of(context), _Opened(), identity)
    reference = context.settings.backup.identity
    return Report(
        f"backup {manifest.id} opens with {reference}",
        facts={"encrypted for": ", ".join(map(keys.short, manifest.recipients))},
        hints=(f"prove the whole of it: inv backup.verify --id {manifest.id}",),
        data={"id": manifest.id, "opens": True, "recipients": list(manifest.recipients)},
    )


class _Enough(Exception):
    """The first bytes came through: the key opens the archive."""


class _Opened:
    """Stops the reading of an archive at its first byte."""

    def write(self, data: bytes) -> NoReturn:
        """Stop.

        Raises:
            _Enough: Always.
        """
        raise _Enough

    def flush(self) -> None:
        """Do nothing."""
