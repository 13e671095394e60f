"""The vendor's client, which a dump is fed to."""

from __future__ import annotations

from typing import Final

from pydantic import SecretStr

from ops.database import mysql, mysql_programs, mysql_url
from ops.kernel.errors import DependencyError

CLIENT: Final = "mysql"
"""Key of the client among the programs of a `Place`."""
_CLIENTS: Final = {"MariaDB": ("mariadb", "mysql"), "MySQL": ("mysql",)}
_PACKAGES: Final = {"MariaDB": "mariadb-client", "MySQL": "mysql-client"}


def client(url: SecretStr) -> str:
    """Return a client of the vendor of a server.

    Raises:
        DependencyError: There is none.
    """
    with mysql.connect(mysql_url.with_database(url, ""), read_only=True) as connection:
        server = mysql_programs.version(mysql.server_version(connection))
    names = _CLIENTS[server.vendor]
    for each in mysql_programs.programs(names):
        if each.version.serves(server):
            return str(each.path)
    raise DependencyError(
        f"no client here can restore into {server.title}",
        why=f"it needs {' or '.join(names)} of at least that version",
        hint=f"apt-get install -y {_PACKAGES[server.vendor]}",
    )
