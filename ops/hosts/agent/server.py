"""What a server needs before the first deploy, item by item: each is looked at, and changed only when it differs.

The deployer says what is wanted, in `inv setup.server`; whoever runs this is root.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ops.hosts.agent import (
    certificate,
    firewall,
    lease,
    server_daemon,
    server_files,
    server_packages,
    server_user,
)
from ops.hosts.agent.errors import Refused


class Item(NamedTuple):
    """One thing that a server has or lacks.

    Args:
        look: Says in words what differs from what the arguments want, nothing when it is so already.
        change: Makes it so.
    """

    look: Callable[[dict[str, Any]], str]
    change: Callable[[dict[str, Any]], None]


ITEMS = {
    "packages": Item(server_packages.missing, server_packages.install),
    "compose": Item(server_packages.compose_lacks, server_packages.install_compose),
    "engine": Item(server_packages.engine_lacks, server_packages.start_engine),
    "daemon": Item(server_daemon.differs, server_daemon.write),
    "updates": Item(server_packages.updates_lack, server_packages.update_daily),
    "user": Item(server_user.lacks, server_user.make),
    "folder": Item(server_files.folder_differs, server_files.make_folder),
    "variables": Item(server_files.variables_differ, server_files.write_variables),
    "certificate": Item(certificate.differs, certificate.arrange),
}


def look(arguments: dict[str, Any]) -> dict[str, Any]:
    """Say what a server lacks; changes nothing.

    Args:
        arguments: `items`, for each item's name what is wanted of it; `firewall`, likewise, or missing.

    Returns:
        `items`: for each name what differs, empty when nothing does; `system`: "debian 12"; `machine`: "x86_64";
        `compose`: the system's package of Docker Compose, empty when it has none; `ssh_port`: of this connection, as
        the server sees it, 0 when it is not one; `closing`: TCP ports that listen now and that the firewall closes;
        `stays_off`: why Docker is not to let containers run on without its daemon, empty when it is.

    Raises:
        Refused: It is no Debian or Ubuntu, or we are not root.
    """
    if os.geteuid() != 0:
        raise Refused("permission", "a server is set up by root", f"we are uid {os.geteuid()}")
    system = server_packages.system()
    port = ssh_port()
    items = {name: ITEMS[name].look(wanted) for name, wanted in arguments["items"].items()}
    rules = firewall.rules(port)
    if arguments.get("firewall"):
        items["firewall"] = firewall.differs(rules) if port else ""
    return {
        "items": items,
        "system": " ".join(system),
        "machine": platform.machine(),
        "compose": server_packages.packaged_compose(*system),
        "ssh_port": port,
        "closing": firewall.closing(port),
        "stays_off": server_daemon.left_out() if "daemon" in items else "",
    }


def change(arguments: dict[str, Any]) -> dict[str, Any]:
    """Make one item as it is wanted, and look again.

    Args:
        arguments: `lease`; `item`; `wanted`.

    Raises:
        Refused: It differs still.
    """
    lease.guard(arguments)
    name, wanted = arguments["item"], arguments["wanted"]
    item = ITEMS[name]
    if item.look(wanted):
        item.change(wanted)
    if differs := item.look(wanted):
        raise Refused("failed", f"{name} was changed and still differs", differs)
    return {}


def ssh_port() -> int:
    """Return the port of the SSH server on which this connection came, 0 when it came otherwise."""
    process = os.getpid()
    while process > 1:
        # `sudo` takes the variable away from its children; the processes above it still have it.
        variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        found = [each for each in variables if each.startswith(b"SSH_CONNECTION=")]
        if found:
            return int(found[0].split()[-1])
        stat = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
        process = int(stat.rpartition(")")[2].split()[1])
    return 0
