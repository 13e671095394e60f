"""The audit trail: who did what to which target, and proof that nobody changed it later.

Each row carries the SHA-256 of its canonical JSON together with the hash of the row before. The
database refuses changes; what it cannot refuse, the chain finds: an edit, a lost row, a new order.
A chain that was computed anew, or cut at its end, is found against a head exported before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from ops.kernel import guard, records
from ops.kernel.errors import ConfigurationError, OpsError
from ops.kernel.store import State, audit_guard, audit_sql

BEGINNING: Final = "0" * 64
"""In place of a hash before the first row."""

_BATCH: Final = 500


@dataclass(frozen=True)
class Head:
    """The end of the chain: keep it where the writer of the chain cannot reach it.

    Args:
        sequence: Number of the last row, 0 for an empty chain.
        hash: Its hash.
    """

    sequence: int = 0
    hash: str = BEGINNING

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read the form that `str` makes.

        Raises:
            ConfigurationError: It is another form.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and len(digest) == 64):
            raise ConfigurationError(
                "the head is not NUMBER:HASH", hint="use one that inv audit.export printed"
            )
        return cls(int(number), digest.lower())


@dataclass(frozen=True)
class Row:
    """One record of the trail; see `Audit.append`."""

    sequence: int
    at: str
    actor: str
    action: str
    target: str
    result: str
    details: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Args:
        ok: Whether nothing was changed.
        rows: How many rows are sound, counted from the first.
        broken_at: Number of the first row that is not, None when it is not a row.
        reason: What is wrong there.
        head: End of the sound part.
    """

    ok: bool
    rows: int
    broken_at: int | None
    reason: str
    head: Head


class Audit:
    """The audit trail in the state database."""

    def __init__(self, state: State) -> None:
        self._state = state

    def append(
        self,
        actor: str,
        action: str,
        target: str,
        result: str,
        details: Mapping[str, Any] | None = None,
    ) -> Head:
        """Add a record.

        Args:
            actor: Who.
            action: Did what.
            target: To what.
            result: With which result.
            details: JSON values. All texts are redacted already.

        Returns:
            The new end of the chain.
        """
        guard.effect("write the audit trail")
        with self._state.transaction() as connection:
            if self._state.dialect == "postgresql":
                connection.execute(audit_sql.LOCK)
            last = connection.execute(audit_sql.LAST).first()
            head = Head(last.sequence, last.hash) if last else Head()
            values: dict[str, Any] = {
                "sequence": head.sequence + 1,
                "at": datetime.now(UTC).isoformat(timespec="microseconds"),
                "actor": records.plain(actor),
                "action": records.plain(action),
                "target": records.plain(target),
                "result": records.plain(result),
                "details": dict(details or {}),
                "previous": head.hash,
            }
            digest = _digest(values)
            stored = values | {"details": records.canonical(values["details"]), "hash": digest}
            if connection.execute(audit_sql.INSERT, stored).rowcount != 1:
                raise OpsError("the audit trail did not take a record", hint="inv audit.verify")
        return Head(head.sequence + 1, digest)

    def head(self) -> Head:
        """Return the end of the chain as it is stored."""
        found = self._state.rows(audit_sql.LAST)
        return Head(found[0].sequence, found[0].hash) if found else Head()

    def rows(self, limit: int, before: int | None = None) -> list[Row]:
        """Return records, newest first; `before` is the last number of the page before."""
        return [_row(each) for each in self._state.rows(audit_sql.newest(limit, before))]

    def verify(self, head: Head | None = None) -> Verdict:
        """Compute the whole chain again, in constant memory.

        Args:
            head: One that was exported before; without it a cut end cannot be seen.
        """
        fault = audit_guard.table_fault(self._state)
        if fault:
            return Verdict(False, 0, None, fault, Head())
        found, broken = self._verify_chain(head)
        faults = [text for text in (broken, audit_guard.trigger_fault(self._state)) if text]
        broken_at = found.sequence + 1 if broken else None
        return Verdict(not faults, found.sequence, broken_at, "; ".join(faults), found)

    def _verify_chain(self, head: Head | None) -> tuple[Head, str]:
        """Return the end of the sound part, and what is wrong with the row after it."""
        found = Head()
        met = head is None or head == found
        for stored in self._stored():
            reason = _fault(stored, found)
            if not reason and head is not None and stored.sequence == head.sequence:
                met = stored.hash == head.hash
                reason = (
                    ""
                    if met
                    else "it is not the row of the exported head: the chain was computed anew"
                )
            if reason:
                return found, reason
            found = Head(stored.sequence, stored.hash)
        if head is not None and not met:
            return found, f"rows are missing: the exported head is {head.sequence}"
        return found, ""

    def export(self, stream: TextIO) -> Head:
        """Write every record as a line of JSON, the head last; return the head."""
        head = Head()
        for stored in self._stored():
            row = _row(stored)
            stream.write(records.canonical(asdict(row)) + "\n")
            head = Head(row.sequence, row.hash)
        stream.write(records.canonical({"head": asdict(head)}) + "\n")
        return head

    def _stored(self) -> Iterator[Any]:
        """Yield all rows in order, a batch at a time, so that writers need not wait."""
        batch = self._state.rows(audit_sql.oldest(_BATCH, None))
        while batch:
            yield from batch
            batch = self._state.rows(audit_sql.oldest(_BATCH, batch[-1].sequence))


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(records.canonical(dict(values)).encode()).hexdigest()


def _fault(stored: Any, before: Head) -> str:
    """Return what is wrong with a row that follows `before`, empty when nothing is."""
    if stored.sequence != before.sequence + 1:
        return "the row is missing"
    if stored.previous != before.hash:
        return "it does not follow the row before"
    values = dict(stored._mapping)
    claimed = values.pop("hash")
    try:
        details = json.loads(values["details"])
        # Only the canonical text, or an edit could hide in spaces and doubled keys.
        same = (
            records.canonical(details) == values["details"]
            and _digest(values | {"details": details}) == claimed
        )
    except (TypeError, ValueError):
        same = False
    return "" if same else "its content is not what was written"


def _row(stored: Any) -> Row:
    values = dict(stored._mapping)
    try:
        values["details"] = dict(json.loads(values["details"]))
    except (TypeError, ValueError):
        values["details"] = {"unreadable": str(values["details"])}
    return Row(**values)
