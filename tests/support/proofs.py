"""A shop whose backups are put to the proof."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage

from ops.backup import verify
from ops.backup.manifest import Level, Manifest, Proof
from tests.support.backups import Shop

FILL = """
CREATE TABLE orders (id integer PRIMARY KEY, item text); CREATE INDEX ON orders (item);
INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 3000) n;
CREATE TABLE customers (id integer PRIMARY KEY, orders integer REFERENCES orders);
INSERT INTO customers SELECT n, n FROM generate_series(1, 50) n;
CREATE MATERIALIZED VIEW many AS SELECT count(*) FROM orders; SELECT lo_from_bytea(0, '\\x00ff');
"""
SECRET = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()


def configure(made: Shop, *, encrypted: bool, identity: str = str(SECRET)) -> None:
    recipients = [str(SECRET.to_public())] if encrypted else []
    made.variables["KEY"] = identity
    line = 'identity = "env:KEY"' if identity else ""
    made.configure(backup=f"recipients = {json.dumps(recipients)}\n{line}")


def prove(made: Shop, manifest: Manifest, level: Level = "data") -> Proof:
    return verify.prove(made.context(), manifest, level)


def flip(share: float) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[min(int(len(content) * share), len(content) - 1)] ^= 0x10
        path.write_bytes(content)

    return work


def with_inventory(manifest: Manifest, **values: Any) -> Manifest:
    return dataclasses.replace(
        manifest, inventory=dataclasses.replace(manifest.inventory, **values)
    )
