"""`inv exec`: a command in a container of the release that serves, on one host."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invoke.exceptions import Exit

from ops.hosts import machines
from ops.hosts.haproxy import SLOTS
from ops.hosts.machine import Machine
from ops.kernel import audit, exits, policy, redact
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, StepFailed
from ops.kernel.invocation import Invocation
from ops.kernel.plan import Plan
from ops.kernel.report import Report, render
from ops.kernel.settings.faults import did_you_mean


@dataclass(frozen=True)
class Place:
    """Where a command runs.

    Args:
        machine: The host.
        service: Service of its Compose document.
        release: Release in it, empty for a service that is not switched.
        container: Name of a container that runs, empty for one of its own.
    """

    machine: Machine
    service: str
    release: str
    container: str

    @property
    def shown(self) -> str:
        """Where, for a person."""
        what = self.container or f"a container of its own for {self.service}"
        return f"{what} on {self.machine.name}"

    def argv(self, words: tuple[str, ...], *, terminal: bool) -> list[str]:
        """Return the command of Docker's client on the host."""
        if self.container:
            options = ["--interactive", *(["--tty"] if terminal else [])]
            return ["docker", "exec", *options, self.container, *words]
        base = self.machine.place.base
        compose = ["docker", "compose", "--progress", "quiet", "--project-directory", base]
        options = ["--rm", "--no-deps", *([] if terminal else ["--no-TTY"])]
        return [*compose, "-f", f"{base}/model.json", "run", *options, self.service, *words]


def execute(call: Invocation, service: str, host: str, *, once: bool) -> None:
    """Run the command that stands after `--`; the process ends with its exit code.

    Args:
        call: The task's call.
        service: Name in the Compose file; empty for the first of [services].
        host: Which; empty for the first.
        once: In a container of its own, also when one runs.

    Raises:
        Exit: Always, with the command's exit code; 10 for a dry run.
        ConfigurationError: No command, no such host or service, or nothing is deployed.
    """
    settings, context = call.settings, call.context()
    policy.permit(call.task.level, call.name, settings)
    if settings.environment.target != "compose":
        raise ConfigurationError(
            f"{settings.name} has no containers", hint="run the command itself, on this machine"
        )
    if not call.words:
        raise ConfigurationError(
            "there is no command", hint=f"inv exec --env {settings.name} -- COMMAND"
        )
    place = _place(context, service, host, once=once)
    command = redact.CENTRAL.text(shlex.join(call.words))
    summary = {"in": place.shown, "release": place.release, "command": command}
    if call.options.dry_run:
        told = Report(
            "dry run: nothing was run",
            status="dry-run",
            facts={key: each for key, each in summary.items() if each},
            data=summary,
            exit_code=exits.DRY_RUN,
        )
        render(told, call.format, call.out, call.options.quiet)
        raise Exit(code=exits.DRY_RUN)
    plan = Plan("exec", settings.name, place.shown, (), summary=summary)
    policy.confirm(plan, settings, call.options)
    code = _run(call, context, place, command)
    raise Exit(f"{place.shown}: exit code {code}" if code else None, code=code)


def _run(call: Invocation, context: Context, place: Place, command: str) -> int:
    """Run the command between two records of the audit trail: begun, and how it ended."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    state = call.state(create=True)
    assert state is not None
    with state:
        trail, where = audit.Audit(state), f"{call.settings.name}: {place.shown}"
        about = {"command": command, "release": place.release}
        trail.append(context.actor, "exec", where, "started", about)
        result = "connection lost"
        try:
            code = place.machine.attached(place.argv(call.words, terminal=terminal), terminal)
            result = f"exit code {code}"
        except KeyboardInterrupt:
            result = "interrupted"
            raise
        finally:
            trail.append(context.actor, "exec", where, result, about)
    return code


def _place(context: Context, service: str, host: str, *, once: bool) -> Place:
    settings, every = context.settings, machines.of(context)
    names = [each.name for each in every]
    chosen = host.rpartition("@")[2] or names[0]
    if chosen not in names:
        raise ConfigurationError(
            f"there is no host {chosen[:60]!r} here{did_you_mean(chosen, names)}",
            why=f"there is {', '.join(names)}",
        )
    machine = every[chosen]
    now = machine.call(context, "look.observe", {"project": machine.place.project}, reads=True)
    document = now["document"]
    if document is None:
        raise ConfigurationError(
            f"nothing is deployed on {chosen}", hint=f"inv deploy --env {settings.name}"
        )
    others = [name for name, each in document["services"].items() if not _slot(each)]
    known = [*settings.services, *others]
    wanted = service or next(iter(settings.services))
    if wanted not in known:
        raise ConfigurationError(
            f"there is no service {wanted[:60]!r}{did_you_mean(wanted, known)}",
            why=f"there is {', '.join(known)}",
        )
    slot = _serving(now) if wanted in settings.services else ""
    name = f"{wanted}-{slot}" if slot else wanted
    if name not in document["services"]:
        raise StepFailed(f"{wanted} was never started on {chosen}", hint="inv deploy")
    running = [
        each["name"]
        for each in now["containers"]
        if each["service"] == name and each["state"] == "running"
    ]
    release = str(now["slots"].get(slot, {}).get("release", ""))
    return Place(machine, name, release, "" if once or not running else running[0])


def _slot(service: Mapping[str, Any]) -> str:
    return str((service.get("labels") or {}).get("invops.slot", ""))


def _serving(now: Mapping[str, Any]) -> str:
    """Return the slot that serves; without a proxy that answers, one that was filled."""
    filled = [slot for slot in SLOTS if now["slots"].get(slot, {}).get("release")]
    return now["serving"] if now["serving"] in SLOTS else next(iter(filled), SLOTS[0])
