"""`inv setup.server`: look at everything at once, change what differs, item by item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, ConnectionFailed
from ops.kernel.lock import Lock
from ops.kernel.plan import Plan, Step
from ops.kernel.report import Report
from ops.kernel.settings import addresses
from ops.setup.server import plugin, reached, steps, wanted
from ops.setup.server.wanted import Wanted

DEPLOYER: Final = "deploy"
"""User that is made where ops.toml names none."""


def lock(host: str) -> Callable[[Context], Lock]:
    """Return what gives the lock of a server."""
    return lambda context: reached.lock(context, reached.address(host))


def plan(context: Context, host: str, key: str) -> Plan:
    """Plan what a server lacks.

    Args:
        context: Surroundings.
        host: Its address.
        key: File of the public key that lets the deploying user in; empty: that of `ssh_key`.

    Raises:
        ConfigurationError: The environment has no containers, or nobody knows which key.
    """
    settings = context.settings
    if settings.environment.target != "compose":
        raise ConfigurationError(
            f"{settings.name} runs as processes of this machine and needs no server",
            hint='choose an environment with target = "compose": --env NAME',
        )
    text = reached.address(host)
    user = _user(context, text)
    about = Wanted(context, user, _key(context, text, user, key))
    facts = steps.look(context, text, {name: about.item(name) for name in about.names}, True)
    if not facts["ssh_port"]:
        raise ConnectionFailed(f"{host} does not say on which port its SSH server is")
    differs = {name: each for name, each in facts["items"].items() if each}
    name = addresses.parse(text).name
    if not differs:
        nothing = f"{name} has everything" + (f" but {_off(facts)}" if facts["stays_off"] else "")
        return Plan("setup server", settings.name, name, (), nothing=nothing)
    order = [*about.names]
    order.insert(order.index("updates") + 1, "firewall")
    made = tuple(_step(about, text, item, facts) for item in order if item in differs)
    summary = {"server": f"{name}, {facts['system']}", "deploys": f"user {user}"}
    if "firewall" in differs and facts["closing"]:
        summary["closed"] = f"ports that listen now: {', '.join(map(str, facts['closing']))}"
    if facts["stays_off"]:
        summary["left out"] = _off(facts)
    seen = {"differs": differs, "port": facts["ssh_port"]}
    return Plan("setup server", settings.name, name, made, seen, summary)


def announce(report: Report, context: Context, host: str) -> Report:
    """Add to the report what comes next."""
    if report.exit_code != 0:
        return report
    text = reached.address(host)
    address = addresses.parse(text)
    known = {addresses.parse(each).name for each in context.settings.environment.hosts}
    hints = [f"inv deploy --env {context.settings.name}"]
    if address.name not in known:
        port = "" if address.port == addresses.SSH_PORT else f":{address.port}"
        entry = f"{_user(context, text)}@{address.host}{port}"
        hints.insert(
            0, f'write into [environments.{context.settings.name}] of ops.toml: hosts = ["{entry}"]'
        )
    return replace(report, hints=(*report.hints, *hints))


def _step(about: Wanted, host: str, item: str, facts: dict[str, Any]) -> Step:
    differs = facts["items"][item]
    if item == "firewall":
        return steps.close.step(id="firewall", host=host, port=facts["ssh_port"])
    if item == "compose":
        found = plugin.here(about.context, facts["system"], facts["machine"])
        title = (
            f"Copy Docker Compose {found.version} from this machine, {facts['system']} has none "
            f"(SHA-256 {found.sha256[:12]}...)"
        )
        return steps.copy_compose.step(id="compose", host=host, title=title, sha256=found.sha256)
    title = f"{_title(about, item)} ({differs})"
    return steps.change.step(
        id=item, host=host, item=item, title=title, user=about.user, public=about.key
    )


def _off(facts: dict[str, Any]) -> str:
    return f"live-restore: {facts['stays_off']}"


def _title(about: Wanted, item: str) -> str:
    context = about.context
    base = about.base
    return {
        "packages": "Install packages",
        "engine": "Start Docker's engine",
        "daemon": "Let containers run on without Docker's daemon: live-restore in /etc/docker/daemon.json",
        "user": f"Make user {about.user}, who deploys",
        "folder": f"Make folder {base}",
        "variables": f"Write {wanted.variables_file(context)}",
        "updates": "Install security updates every day",
        "certificate": f"Get a certificate for {context.settings.environment.domain} and renew it",
    }[item]


def _user(context: Context, host: str) -> str:
    """Return who deploys: the user of this host in ops.toml, else who logs in, else one of our own."""
    mine = addresses.parse(host)
    for each in map(addresses.parse, context.settings.environment.hosts):
        if each.name == mine.name:
            return each.user
    return mine.user if mine.user != "root" else DEPLOYER


def _key(context: Context, host: str, user: str, key: str) -> str:
    reference = context.settings.environment.ssh_key
    if key:
        path = Path(key).expanduser()
        with files.translated(f"cannot read {path}"):
            return reached.public_key(path.read_text("utf-8", "replace"), str(path))
    if reference:
        from ops.hosts.ssh import keys

        text = context.secrets.resolve(reference).get_secret_value()
        private = keys.private(text, reference)
        return f"{private.get_name()} {private.get_base64()}"
    if user == addresses.parse(host).user:
        return ""
    raise ConfigurationError(
        f"nobody says which key lets user {user} in", hint="--key ~/.ssh/id_ed25519.pub"
    )
