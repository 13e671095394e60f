"""The one error of the agent: a verb that cannot do what it was asked for says so in these words."""

from __future__ import annotations

KINDS = ("busy", "taken", "missing", "failed", "config", "permission")
"""What went wrong, as the deployer knows it: somebody else has the lease, took it from us, a tool is missing, an effect
failed, an argument is wrong, a right is missing."""


class Refused(Exception):
    """A verb failed in a way that a person can act on.

    Args:
        kind: One of `KINDS`.
        what: What failed and where, one line.
        why: The reason, when it is known.
        hint: What to run or change next.
    """

    def __init__(self, kind: str, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.why = why
        self.hint = hint

    def answer(self) -> dict[str, object]:
        """Return what the deployer is told."""
        told = {"kind": self.kind, "what": self.what, "why": self.why, "hint": self.hint}
        return {"ok": False, **told}
