"""The steps of `setup.server`: an item of a server, or its firewall, confirmed by coming in anew."""

from __future__ import annotations

import time
from typing import Any, Final

from ops.hosts import agent_file
from ops.hosts.machine import Machine
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConnectionFailed, OpsError, StepFailed, TimeLimitReached
from ops.kernel.steps import Done, step
from ops.setup.server import plugin, reached
from ops.setup.server.wanted import AGENT, PLUGIN, Wanted

CONFIRM: Final = 60.0
"""Seconds after which new firewall rules go back when nobody came in through them."""
_AGAIN: Final = 1.0


def look(context: Context, host: str, items: dict[str, Any], firewall: bool) -> dict[str, Any]:
    """Ask a server what it is and what of it differs; changes nothing."""
    asked = {"items": items, "firewall": firewall}
    return reached.machine(context, host).call(context, "server.look", asked, reads=True)


def _is_so(
    context: Context, host: str, item: str, title: str, user: str, public: str
) -> Done | None:
    about = Wanted(context, user, public).item(item)
    found = look(context, host, {item: about}, False)["items"][item]
    return None if found else Done("is so already")


@step(title="{title}", limit=minutes(30), check=_is_so)
def change(context: Context, host: str, item: str, title: str, user: str, public: str) -> None:
    """Make one item of a server as it is wanted.

    Args:
        context: Surroundings.
        host: Address of the server.
        item: Which.
        title: What that means, for a person.
        user: Who deploys there.
        public: Public key that lets in, empty for none to add.
    """
    about = Wanted(context, user, public).item(item, whole=True)
    with reached.locked(context, host) as machine:
        if item == "certificate":
            machine.put(context, agent_file.content(compiled=False), AGENT)
        _change(context, machine, item, about)


def _has_compose(context: Context, host: str, title: str, sha256: str) -> Done | None:
    found = look(context, host, {"compose": {"sha256": sha256}}, False)["items"]["compose"]
    return None if found else Done("is there already")


@step(title="{title}", limit=minutes(10), check=_has_compose)
def copy_compose(context: Context, host: str, title: str, sha256: str) -> None:
    """Give a server whose system has no Docker Compose 2 the plug-in of this machine.

    Args:
        context: Surroundings.
        host: Address of the server.
        title: Which, for a person.
        sha256: Of the file.
    """
    facts = look(context, host, {}, False)
    found = plugin.here(context, facts["system"], facts["machine"])
    if found.sha256 != sha256:
        raise StepFailed(f"{found.path} is not the file that the plan shows", hint="run it again")
    with reached.locked(context, host) as machine:
        machine.put(context, found.path, PLUGIN)
        about = {"file": f"{reached.FOLDER}/{PLUGIN}", "sha256": sha256}
        _change(context, machine, "compose", about)


def _is_closed(context: Context, host: str, port: int) -> Done | None:
    facts = look(context, host, {}, True)
    same = facts["ssh_port"] == port and not facts["items"]["firewall"]
    return Done("the rules hold already") if same else None


@step(
    title="Close all ports but {port} (SSH), 80 and 443; without a new SSH connection the rules go back",
    limit=minutes(3),
    check=_is_closed,
)
def close(context: Context, host: str, port: int) -> None:
    """Load the firewall, come in anew, and say so; else it goes back by itself.

    Args:
        context: Surroundings.
        host: Address of the server.
        port: Of its SSH server, as the server sees it.
    """
    with reached.locked(context, host) as machine:
        asked = {"port": port, "seconds": CONFIRM}
        token = machine.call(context, "firewall.apply", asked, reads=False)["token"]
        _confirm(context, machine, token)


def _confirm(context: Context, machine: Machine, token: str) -> None:
    """Come in through the new rules; a connection that was open before would prove nothing."""
    end = time.monotonic() + CONFIRM
    lost: OpsError | None = None
    while True:
        machine.close()
        try:
            within = context.within(max(1.0, end - time.monotonic()))
            machine.call(within, "firewall.confirm", {"token": token}, reads=False)
            return
        except StepFailed as error:
            if lost is None:
                raise
            raise _shut_out(machine, lost) from error
        except (ConnectionFailed, TimeLimitReached) as error:
            lost = error
            context.deadline.check("confirming the firewall")
            if time.monotonic() < end:
                time.sleep(_AGAIN)
                continue
            raise _shut_out(machine, error) from error


def _shut_out(machine: Machine, error: OpsError) -> ConnectionFailed:
    return ConnectionFailed(
        f"{machine.name} was not reached through the new firewall rules, so they went back",
        why=str(error),
        hint="which port has its SSH server? On the server: ss -Hltnp | grep sshd",
    )


def _change(context: Context, machine: Machine, item: str, wanted: dict[str, Any]) -> None:
    machine.detached(context, "server.change", {"item": item, "wanted": wanted})
