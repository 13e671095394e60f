"""What was found, and the ops.toml that comes of it, before it is text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ops.kernel.settings.checks import LONGEST_SOCKET_NAME

Value = str | int | bool | list[str] | dict[str, str]
DEVELOPMENT: Final = "development"
# A socket's file is named "<environment>-<slot>-<service>.sock".
LONGEST_NAME: Final = LONGEST_SOCKET_NAME - len(f"{DEVELOPMENT}-green-.sock")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        found: What it is.
        where: File, with the line where one is known.
        becomes: What it becomes in ops.toml.
    """

    found: str
    where: str
    becomes: str


@dataclass
class Section:
    """A section of ops.toml.

    Args:
        header: Its header without brackets.
        values: Its keys in order.
        remarks: Remark at the end of a key's line.
        note: Lines above the header.
        off: Why it is only a comment; empty when it counts.
    """

    header: str
    values: dict[str, Value] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    note: str = ""
    off: str = ""

    def put(self, key: str, value: Value | None, remark: str = "") -> None:
        """Set a key unless the value is empty."""
        if value in (None, "", [], {}):
            return
        assert value is not None
        self.values[key] = value
        if remark:
            self.remarks[key] = remark


@dataclass
class Draft:
    """A proposal.

    Args:
        sections: In order.
        findings: What was found.
        decisions: What a person has to decide or to check.
    """

    sections: list[Section] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    def find(self, found: str, where: object, becomes: str) -> None:
        """Note something that was found."""
        each = Finding(found, str(where), becomes)
        if each not in self.findings:
            self.findings.append(each)

    def decide(self, what: str) -> None:
        """Note something that a person has to decide."""
        if what not in self.decisions:
            self.decisions.append(what)

    def section(self, header: str) -> Section | None:
        """Return a section that counts."""
        return next((one for one in self.sections if one.header == header and not one.off), None)

    def services(self) -> list[Section]:
        """Return the services that count."""
        return [
            each for each in self.sections if each.header.startswith("services.") and not each.off
        ]

    def service_name(self, wanted: str, fallback: str) -> str:
        """Return a good name that no service has."""
        base = clean(wanted, LONGEST_NAME) or fallback
        taken = {each.header for each in self.sections}
        name, number = base, 2
        while f"services.{name}" in taken:
            name = f"{base[: LONGEST_NAME - len(str(number))]}{number}"
            number += 1
        return name


def clean(text: str, longest: int = 31) -> str:
    """Return a text as a name of ops.toml, empty when nothing is left of it."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower())
    return re.sub(r"^[^a-z]+", "", plain)[:longest].strip("-")
