"""What a failure on a host leaves: fetched into the run's folder before anything is undone."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ops.deploy.compose import fleet
from ops.hosts import machines
from ops.kernel import files, redact
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import Interrupted, OpsError, TakenOver

SECONDS: Final = 20.0
"""How long the evidence may take when the step's own time is used up."""


def folder(context: Context, host: str) -> Path:
    """Return where the evidence of a host is kept on this machine: beside the run's log."""
    return context.settings.ops_folder / "logs" / context.run_id / host.replace("/", "_")


@contextlib.contextmanager
def on_failure(context: Context, host: str, slot: str, checks: Mapping[str, Any]) -> Iterator[None]:
    """Keep the evidence when the block fails, and say in the error where it is.

    Args:
        context: Surroundings of the step.
        host: Name of the machine.
        slot: The slot that is filled or watched.
        checks: What its web services are asked, see `Wanted.checks`.
    """
    try:
        yield
    except (TakenOver, Interrupted):  # not ours to look at any more, or no failure
        raise
    except OpsError as error:
        if kept := keep(context, host, slot, checks):
            error.why = f"{error.why}\nlogs, inspect, counters, health answers: {kept}".lstrip()
        raise


def keep(context: Context, host: str, slot: str, checks: Mapping[str, Any]) -> Path | None:
    """Fetch the evidence of a host; return its folder on this machine, None when the host does not give it."""
    place = folder(context, host)
    arguments = {
        "project": fleet.project(context.settings),
        "slot": slot,
        "run": context.run_id,
        "checks": dict(checks),
    }
    patient = dataclasses.replace(context, deadline=Deadline(SECONDS))
    try:
        machine = machines.of(context)[host]
        kept = machine.call(patient, "evidence.keep", arguments, reads=False)["files"]
        files.make_folder(place.parent)
        files.make_folder(place)
        for name, text in kept.items():
            files.write(place / Path(name).name, redact.CENTRAL.text(text))
    except OpsError as error:  # it must not hide what failed, nor stop the undo
        context.note(f"no evidence of {host}: {error}")
        return None
    return place
