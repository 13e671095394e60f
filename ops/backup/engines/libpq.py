"""Programs of PostgreSQL: which of them reads a dump, and how it is told its database.

The password goes by environment, everything else of the URL is one argument.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from ops.backup.engines import Unverifiable
from ops.backup.manifest import Manifest
from ops.hosts import home, tools
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError


def at(url: SecretStr, database: str) -> SecretStr:
    """Return the same server and role with another database."""
    return SecretStr(make_conninfo("", **(_parts(url) | {"dbname": database})))


def name(url: SecretStr) -> str:
    """Return the name of the database.

    Raises:
        ConfigurationError: The URL names none.
    """
    found = _parts(url).get("dbname", "")
    if not found:
        raise ConfigurationError("the URL of the database names no database")
    return found


def quoted(name: str) -> str:
    """Return a name as SQL takes it, for a person to paste."""
    return '"' + name.replace('"', '""') + '"'


def shown(url: SecretStr) -> str:
    """Return a URL for a person: user, host, port and database, never the password."""
    parts = _parts(url)
    user = f"{quote(parts['user'], safe='')}@" if parts.get("user") else ""
    host, port = parts.get("host", ""), parts.get("port", "")
    database = quote(parts.get("dbname", ""), safe="")
    if not host or host.startswith("/"):
        query = {"host": host, "port": port}
        text = "&".join(f"{key}={quote(each, safe='/')}" for key, each in query.items() if each)
        return f"postgresql://{user}/{database}" + (f"?{text}" if text else "")
    inside = f"[{host}]" if ":" in host else host
    return f"postgresql://{user}{inside}{f':{port}' if port else ''}/{database}"


def client(url: SecretStr) -> tuple[str, dict[str, str]]:
    """Return the argument `--dbname=...` and the variables of a program."""
    parts = _parts(url)
    password = parts.pop("password", "")
    return f"--dbname={make_conninfo('', **parts)}", {"PGPASSWORD": password} if password else {}


def dump_major(manifest: Manifest) -> int:
    """Return the major version of the program that made a dump: older ones cannot read it."""
    found = re.search(r"\d+", manifest.tool)
    return int(found.group()) if found else 0


def program(context: Context, name: str, major: int) -> Path:
    """Return a client program of this version, else of the next above it.

    Raises:
        Unverifiable: There is none on this machine.
    """
    kit = replace(tools.KITS["postgres"], programs=("pg_restore", "pg_dump", "psql"))
    found = [
        (int(tools.version(folder / name).split(".")[0]), folder / name)
        for folder in tools.folders(home.of(context.settings), kit)
        # Debian's /usr/bin chooses a version by its own clusters.
        if (folder / name).resolve().name != "pg_wrapper"
    ]
    fitting = [each for each in found if each[0] >= major]
    if not fitting:
        newest = max((each[0] for each in found), default=0)
        raise Unverifiable(
            f"{name} {major} or newer is not on this machine",
            why=f"the newest here is {newest}" if newest else "",
            hint=f"apt-get install -y postgresql-client-{major}",
        )
    return min(fitting, key=lambda each: each[0])[1]


def _parts(url: SecretStr) -> dict[str, str]:
    plain = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", url.get_secret_value())
    return {
        name: str(value) for name, value in conninfo_to_dict(plain).items() if value is not None
    }
