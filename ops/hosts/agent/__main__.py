"""The agent's command: `VERB` as argument, one JSON object in a line of standard input, one on standard output.

Standard error is for people: progress line by line, and the traceback of what nobody expected.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from ops.hosts.agent.errors import Refused

Verb = Callable[[dict[str, Any]], dict[str, Any]]

# Verb: its module in this package and its function there; a module is imported when its verb is asked for.
VERBS = {
    "bake.watch": "bake.watch",
    "certificate.answer": "certificate.answer",
    "certificate.forget": "certificate.forget",
    "certificate.renew": "certificate.renew",
    "drift.find": "drift.find",
    "evidence.keep": "evidence.keep",
    "files.put": "files.put",
    "firewall.apply": "firewall.apply",
    "firewall.confirm": "firewall.confirm",
    "images.pull": "images.pull",
    "images.push": "images.push",
    "images.there": "images.there",
    "jobs.cancel": "jobs.cancel",
    "jobs.start": "jobs.start",
    "jobs.wait": "jobs.wait",
    "lease.acquire": "lease.acquire",
    "lease.break": "lease.break_",
    "lease.look": "lease.look",
    "lease.release": "lease.release",
    "lease.renew": "lease.renew",
    "logs.follow": "logs.follow",
    "logs.last": "logs.last",
    "look.address": "look.address",
    "look.model": "look.model",
    "look.observe": "look.observe",
    "maintenance.page": "maintenance.page",
    "releases.forget": "releases.forget",
    "releases.mark": "releases.mark",
    "releases.read": "releases.read",
    "releases.settle": "pruning.settle",
    "server.change": "server.change",
    "server.look": "server.look",
    "slots.clear": "slots.clear",
    "slots.ground": "slots.ground",
    "slots.prepare": "slots.prepare",
    "slots.retire": "slots.retire",
    "slots.switch": "slots.switch",
    "slots.weigh": "slots.weigh",
    "survey": "survey.survey",
    "survey.locked": "survey.locked",
    "warm.end": "warm.end",
}


def answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Carry out a verb and return what the deployer is told, also about what nobody expected."""
    try:
        return {"ok": True, "result": find(name)(arguments)}
    except Refused as refused:
        return refused.answer()
    except PermissionError as error:
        return Refused("permission", f"{name} failed", str(error)).answer()
    except Exception as error:  # the deployer gets an answer whatever happened
        traceback.print_exc()
        return Refused("failed", f"{name} failed", f"{type(error).__name__}: {error}").answer()


def find(name: str) -> Verb:
    """Return the function of a verb.

    Raises:
        Refused: There is no such verb.
    """
    if name not in VERBS:
        raise Refused("config", f"this agent has no verb {name!r}")
    module, function = VERBS[name].split(".")
    found: Verb = getattr(importlib.import_module(f"ops.hosts.agent.{module}"), function)
    return found


class _Heedless(io.TextIOWrapper):
    """Standard error whose reader may be gone: a connection that was cut does not stop a change halfway."""

    def write(self, text: str) -> int:
        with contextlib.suppress(BrokenPipeError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            super().flush()


def respond(name: str, answers: TextIO) -> None:
    """Read the arguments, carry out the verb, write the answer; both outputs of the process are for people."""
    sys.stdout = sys.stderr = _Heedless(sys.stderr.buffer, errors="replace", line_buffering=True)
    try:
        arguments = json.loads(sys.stdin.buffer.readline())
    except ValueError:
        arguments = None
    if isinstance(arguments, dict):
        told = answer(name, arguments)
    else:
        told = Refused("config", f"{name} got no JSON object").answer()
    print(json.dumps(told), file=answers, flush=True)


def main(name: str) -> None:
    """Carry out one verb in this process."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a command of the verb prints is not the answer
        respond(name, answers)


if __name__ == "__main__":
    main(sys.argv[1])
