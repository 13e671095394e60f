"""URLs of MySQL and MariaDB: what they say, for the driver, for the vendor's programs and for a person."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr

from ops.kernel.errors import ConfigurationError

PORT: Final = 3306
_SCHEME: Final = re.compile(r"(mysql|mariadb)(\+\w+)?")
# Parameters of SQLAlchemy's drivers that say where and how to connect; the others are the application's own matter.
_OPTIONS: Final = ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key")


@dataclass(frozen=True)
class Parts:
    """What a URL says.

    Args:
        user: Who connects.
        password: Empty for none.
        host: Name or address; not used with a socket.
        port: TCP port.
        database: Empty for the server as a whole.
        options: `unix_socket`, `ssl_ca`, `ssl_cert`, `ssl_key`, those that are given.
    """

    user: str
    password: SecretStr
    host: str
    port: int
    database: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def socket(self) -> str:
        """Path of the Unix socket, empty for TCP."""
        return dict(self.options).get("unix_socket", "")

    @property
    def place(self) -> str:
        """Where the server is, for a person."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.socket or f"{host}:{self.port}"

    @property
    def arguments(self) -> list[str]:
        """Options of the vendor's programs that lead there; files such as ~/.my.cnf are not read."""
        named = {"ssl_ca": "--ssl-ca", "ssl_cert": "--ssl-cert", "ssl_key": "--ssl-key"}
        where = (
            [f"--socket={self.socket}"]
            if self.socket
            else ["--protocol=tcp", f"--host={self.host}", f"--port={self.port}"]
        )
        secured = [f"{named[name]}={value}" for name, value in self.options if name in named]
        return ["--no-defaults", *where, f"--user={self.user}", *secured]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the vendor's programs: the password, which may not be an argument."""
        return {"MYSQL_PWD": self.password.get_secret_value()}


def is_mysql(url: SecretStr) -> bool:
    """Say whether a URL is one of MySQL or MariaDB by its scheme."""
    scheme = url.get_secret_value().partition("://")[0]
    return bool(_SCHEME.fullmatch(scheme.strip().lower()))


def parse(url: SecretStr) -> Parts:
    """Read a URL: `mysql://`, `mariadb://`, also with a driver as in `mysql+pymysql://`.

    Raises:
        ConfigurationError: It is none; neither it nor a reason that may quote it is shown.
    """
    try:
        split = urlsplit(url.get_secret_value().strip())
        if not _SCHEME.fullmatch(split.scheme):
            raise ValueError
        given = dict(parse_qsl(split.query, strict_parsing=bool(split.query)))
        parts = Parts(
            user=unquote(split.username or "", errors="strict"),
            password=SecretStr(unquote(split.password or "", errors="strict")),
            host=split.hostname or "localhost",
            port=split.port or PORT,
            database=unquote(split.path.removeprefix("/"), errors="strict"),
            options=tuple((name, given[name]) for name in _OPTIONS if given.get(name)),
        )
        if "/" in split.path.removeprefix("/") or "\0" in "".join((parts.user, parts.database)):
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            "the URL of the database is not valid",
            hint="mysql://user:password@host:3306/name, special characters as %40",
        ) from None
    return parts


def describe(url: SecretStr) -> str:
    """Return where a URL leads, for a person: database, host and port, never user or password.

    Raises:
        ConfigurationError: This is no URL of MySQL.
    """
    parts = parse(url)
    return f"database {parts.database} on {parts.place}" if parts.database else parts.place


def with_database(url: SecretStr, database: str) -> SecretStr:
    """Return the URL of another database of the same server, empty for the server as a whole."""
    return _built(replace(parse(url), database=database))


def without_password(url: SecretStr) -> str:
    """Return a URL for a person."""
    parts = replace(parse(url), password=SecretStr(""))
    return _built(parts).get_secret_value()


def _built(parts: Parts) -> SecretStr:
    user, password = quote(parts.user, safe=""), quote(parts.password.get_secret_value(), safe="")
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    query = f"?{urlencode(parts.options)}" if parts.options else ""
    login = f"{user}:{password}" if password else user
    name = quote(parts.database, safe="")
    return SecretStr(f"mysql://{login}@{host}:{parts.port}/{name}{query}")
