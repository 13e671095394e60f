"""What a server is to have, by item, as the agent takes it (ops/hosts/agent/server.py)."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops.hosts import agent_file, home
from ops.hosts.machine import Place
from ops.kernel import files
from ops.kernel.context import Context
from ops.setup.server import reached

AGENT: Final = "agent.pyz"
PLUGIN: Final = "docker-compose"
ITEMS: Final = (
    *("packages", "compose", "engine", "daemon"),
    *("user", "folder", "variables", "updates"),
)


@dataclass(frozen=True)
class Wanted:
    """What a server is to have.

    Args:
        context: Gives settings and secrets.
        user: Who deploys there.
        key: Public key that lets in, empty for none to add.
    """

    context: Context
    user: str
    key: str

    @property
    def names(self) -> list[str]:
        """The items in the order in which they are made."""
        return [*ITEMS, *(["certificate"] if self.context.settings.environment.domain else [])]

    @property
    def base(self) -> str:
        """The environment's folder on the server."""
        folder = self.context.settings.environment.base_folder
        return folder or str(home.SYSTEM_ROOT / _name(self.context))

    def item(self, name: str, *, whole: bool = False) -> dict[str, Any]:
        """Return what is wanted of an item.

        Args:
            name: Which.
            whole: With secrets, for the change; without, for the look.
        """
        settings = self.context.settings
        if name == "packages":
            return {"more": ["certbot"] if settings.environment.domain else []}
        if name == "user":
            return {"user": self.user, "key": self.key}
        if name == "folder":
            owner = Place(self.base, settings.app.name, settings.name).arguments()["owner"]
            return {"path": self.base, "user": self.user, "owner": owner}
        if name == "variables":
            content = _variables(self.context, self.base)
            digest = hashlib.sha256(content.encode()).hexdigest()
            found = {"path": variables_file(self.context), "user": self.user, "sha256": digest}
            return {**found, "content": content} if whole else found
        if name == "certificate":
            return _certificate(self.context, self.base)
        return {}


def variables_file(context: Context) -> str:
    """Return where the environment's variables are on the server."""
    return f"/etc/invops/{_name(context)}.env"


def _name(context: Context) -> str:
    return f"{context.settings.app.name}-{context.settings.name}"


def _variables(context: Context, base: str) -> str:
    """Return the file that a shell on the server reads: what ops.toml says for every service of the environment."""
    chosen = context.settings.environment
    found: Mapping[str, str] = {
        "APP_NAME": context.settings.app.name,
        "BASE_FOLDER": base,
        "ENVIRONMENT": context.settings.name,
        **chosen.environment,
        **{
            name: context.secrets.resolve(each).get_secret_value()
            for name, each in chosen.secrets.items()
        },
    }
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(found.items())]
    return "# Written by inv setup.server; for a shell: set -a; . FILE\n" + "".join(lines)


def _certificate(context: Context, base: str) -> dict[str, Any]:
    settings, chosen = context.settings, context.settings.environment
    name = _name(context)
    agent = f"{reached.FOLDER}/{AGENT}"
    authority = ""
    if chosen.acme_ca is not None:
        path = settings.folder / chosen.acme_ca
        with files.translated(f"cannot read {path}, acme_ca of {settings.name}"):
            authority = path.read_text("utf-8")
    about = f"/etc/invops/{name}.certificate.json"
    return {
        "name": name,
        "authority": authority,
        "agent": {
            "file": agent,
            "sha256": hashlib.sha256(agent_file.content(compiled=False)).hexdigest(),
        },
        "settings": {
            "base": base,
            "domain": chosen.domain,
            "server": chosen.acme_server,
            "email": chosen.acme_email,
            "authority": f"/etc/invops/{name}.ca.pem" if authority else "",
            "folder": f"{reached.FOLDER}/certificates",
            "hook": f"/usr/bin/python3 -I {agent} {{verb}} <{about}",
        },
    }
