"""A plan is data: what will happen, in which order, with which limits. The dry run prints what a run executes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
"""Version of the plan's JSON form; a run of another version refuses to resume."""


@dataclass(frozen=True)
class Ref:
    """An argument that is known only later: a field of an earlier step's recorded result."""

    step: str
    field: str

    def to_json(self) -> dict[str, str]:
        """Return the form that plan and journal store."""
        return {"$ref": f"{self.step}.{self.field}"}


@dataclass(frozen=True)
class Step:
    """One effect.

    Args:
        id: Name, with a sub-key after a colon when there are several.
        action: Name in the registry of steps, never an import path taken from the database.
        arguments: JSON values; `{"$ref": "step.field"}` refers to an earlier result.
        title: What a person reads.
        limit: Seconds it may take.
        when: The condition under which it does something, empty for always.
        reversible: Whether it has an undo; one without stops an undo unless it declares itself compatible.
        group: Steps with the same group, next to each other, run at the same time.
    """

    id: str
    action: str
    arguments: Mapping[str, Any]
    title: str
    limit: float
    when: str = ""
    reversible: bool = True
    group: str = ""

    def results_needed(self) -> list[Ref]:
        """Return the references among the arguments."""
        return [ref for ref in map(as_ref, self.arguments.values()) if ref is not None]


@dataclass(frozen=True)
class Plan:
    """What an operation will do.

    Args:
        operation: e.g. "deploy".
        environment: Name of the environment.
        target: What is changed, for a person: "local processes on web-1".
        steps: In order.
        seen: Everything observed that the plan depends on; a run compares it again under the lock.
        summary: Facts for the person who confirms (host, database, where they came from).
        nothing: Why there is nothing to do; a plan with it has no steps.
        destructive: Whether data or a living run is lost by it.
        left_out: Hosts of the environment that it leaves alone, and why; a run that is resumed leaves them alone, too.
        recorded: Facts that the records of the audit trail carry as well: a policy that was overridden, and why.
    """

    operation: str
    environment: str
    target: str
    steps: tuple[Step, ...]
    seen: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, str] = field(default_factory=dict)
    nothing: str = ""
    destructive: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """First 12 hex digits of the hash over steps and everything seen.

        The summary is not part of it: it may say what differs from moment to moment, such as the size of a database.
        """
        binding = {key: each for key, each in self.to_json().items() if key != "summary"}
        content = json.dumps([binding, self.seen], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def limit(self) -> float:
        """Seconds the whole run may take: the sum of the steps' limits."""
        return sum(step.limit for step in self.steps)

    def groups(self) -> Iterator[tuple[Step, ...]]:
        """Yield the steps in order; those that run at the same time together."""
        gathered: list[Step] = []
        for step in self.steps:
            if gathered and not (step.group and step.group == gathered[-1].group):
                yield tuple(gathered)
                gathered = []
            gathered.append(step)
        if gathered:
            yield tuple(gathered)

    def to_json(self) -> dict[str, Any]:
        """Return the form that the journal stores and the console shows."""
        return {
            "schema": SCHEMA,
            "operation": self.operation,
            "environment": self.environment,
            "target": self.target,
            "destructive": self.destructive,
            "summary": dict(self.summary),
            "left_out": dict(self.left_out),
            "recorded": dict(self.recorded),
            "steps": [asdict(step) | {"arguments": dict(step.arguments)} for step in self.steps],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Rebuild a plan that the journal stored."""
        return cls(
            operation=data["operation"],
            environment=data["environment"],
            target=data["target"],
            steps=tuple(Step(**each) for each in data["steps"]),
            summary=data["summary"],
            destructive=data["destructive"],
            left_out=data.get("left_out", {}),
            recorded=data.get("recorded", {}),
        )


def as_ref(value: Any) -> Ref | None:
    """Read `{"$ref": "step.field"}`; None for any other value."""
    if isinstance(value, dict) and set(value) == {"$ref"}:
        step, _, name = str(value["$ref"]).rpartition(".")
        return Ref(step, name)
    return None
