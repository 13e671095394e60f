"""Who may use an environment's database: its owner, the application and a reader, as the settings say it.

For an external server names and passwords come from the URLs of the environment. The embedded server has an owner of
the same name as the database, whose URL migrations and services share, and a reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from psycopg import conninfo
from pydantic import SecretStr

from ops.database import sql, target
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError

READER: Final = "_reader"
"""What the name of the embedded server's reader ends with."""
_LONGEST_NAME: Final = 63
_OWN_DATABASES: Final = ("postgres", "template0", "template1")


@dataclass(frozen=True)
class Login:
    """A role that may log in.

    Args:
        name: Its name.
        password: What its URL says, None when it says none: then the server's password is not touched.
        url: Its URL, None while the embedded server has no password for it.
    """

    name: str
    password: str | None
    url: SecretStr | None


@dataclass(frozen=True)
class Wanted:
    """A database with its roles as it should be.

    Args:
        app: Name of the application; roles are marked with it.
        environment: Name of the environment; with it the database is marked.
        database: Its name.
        schemas: That hold the application's tables.
        owner: Owns database and schemas, runs migrations.
        application: Reads and writes rows; None when it is the owner.
        reader: Reads rows; None when there is none.
        notes: What a person should know, one line each.
    """

    app: str
    environment: str
    database: str
    schemas: tuple[str, ...]
    owner: Login
    application: Login | None
    reader: Login | None
    notes: tuple[str, ...] = ()

    @property
    def logins(self) -> tuple[Login, ...]:
        """All roles, the owner first."""
        return tuple(each for each in (self.owner, self.application, self.reader) if each)


def wanted(context: Context) -> Wanted:
    """Return what the settings ask for.

    Raises:
        ConfigurationError: MySQL, or URLs that are missing or contradict each other.
    """
    described = target.described(context)
    refuse_mysql(context, "db.init", "make database and users by hand")
    make = _external if target.is_external(context) else _embedded
    return make(context, described.schemas)


def refuse_mysql(context: Context, task: str, instead: str) -> None:
    """Refuse what only PostgreSQL has.

    Raises:
        ConfigurationError: The engine is MySQL.
    """
    if target.described(context).engine == "mysql":
        raise ConfigurationError(f"{task} does not support MySQL yet", hint=instead)


def admin_url(context: Context, database: str = "") -> SecretStr:
    """Return the URL of whoever may make roles and databases, for one of the server's databases.

    Args:
        context: Surroundings.
        database: Its name; the one that the URL names when empty.

    Raises:
        ConfigurationError: There is no admin_url.
    """
    settings = context.settings
    if not target.is_external(context):
        return target.server_of(context).admin_url(database or "postgres")
    if not settings.environment.admin_url:
        raise ConfigurationError(
            f"environment {settings.name} has no admin_url",
            why="a role that may create roles and databases is needed",
            hint=f'write admin_url = "env:NAME" into [environments.{settings.name}]',
        )
    url = context.secrets.resolve(settings.environment.admin_url)
    return (
        url
        if not database
        else SecretStr(conninfo.make_conninfo(**{**_parts(url), "dbname": database}))
    )


def _external(context: Context, schemas: tuple[str, ...]) -> Wanted:
    settings = context.settings
    environment = settings.environment
    admin = _place(_parts(admin_url(context)))
    owner, database = _login(
        context, "migration_url" if environment.migration_url else "database_url"
    )
    if _place(_parts(_url(owner))) != admin:
        raise ConfigurationError(
            "admin_url and migration_url lead to different servers",
            why=f"{admin} and {_place(_parts(_url(owner)))}",
        )
    application, its = _login(context, "database_url")
    reader, readers = _login(context, "reader_url") if environment.reader_url else (None, database)
    if len({database, its, readers}) > 1:
        raise ConfigurationError(
            "the URLs name different databases", why=", ".join(sorted({database, its, readers}))
        )
    shared = application.name == owner.name
    made = Wanted(
        settings.app.name,
        settings.name,
        database,
        schemas,
        owner,
        None if shared else application,
        reader,
        _notes(not shared, reader is not None),
    )
    return _checked(made)


def _login(context: Context, key: str) -> tuple[Login, str]:
    """Return the role that a URL of the environment names, and its database."""
    name = context.settings.name
    url = context.secrets.resolve(getattr(context.settings.environment, key))
    parts = _parts(url)
    for part, word in (("user", "user"), ("dbname", "database")):
        if not parts.get(part):
            raise ConfigurationError(
                f"{key} of environment {name} names no {word}",
                hint="postgresql://user:password@host:5432/name",
            )
    return Login(str(parts["user"]), parts.get("password"), url), str(parts["dbname"])


def _url(login: Login) -> SecretStr:
    assert login.url is not None
    return login.url


def _notes(owner: bool, reader: bool) -> tuple[str, ...]:
    notes = []
    if not owner:
        notes.append(
            "no migration_url with a user of its own: the application's role is the owner too"
        )
    if not reader:
        notes.append("no reader_url: no read-only role")
    return tuple(notes)


def _embedded(context: Context, schemas: tuple[str, ...]) -> Wanted:
    name = target.name(context)
    server = target.server_of(context)

    def login(role: str) -> Login:
        password, url = server.login(role, name) or (None, None)
        return Login(role, password, url)

    note = "embedded server: services and migrations share the owner's role"
    return Wanted(
        context.settings.app.name,
        context.settings.name,
        name,
        schemas,
        login(name),
        None,
        login(reader_of(name)),
        (note,),
    )


def reader_of(database: str) -> str:
    """Return the name of the embedded server's reader of a database."""
    return database[: _LONGEST_NAME - len(READER)] + READER


def _checked(made: Wanted) -> Wanted:
    names = [each.name for each in made.logins]
    if len(set(names)) < len(names):
        raise ConfigurationError(
            f"one role cannot be two: {', '.join(names)}",
            hint="give migration_url, database_url and reader_url users of their own",
        )
    if made.database in _OWN_DATABASES:
        raise ConfigurationError(
            f"{made.database} is the server's own database", hint="name another one in the URLs"
        )
    return made


def database_of(url: SecretStr) -> str:
    """Return the name of the database that a URL leads to."""
    return str(_parts(url).get("dbname", ""))


def _place(parts: dict[str, Any]) -> str:
    return f"{parts.get('host') or parts.get('hostaddr') or 'this machine'}:{parts.get('port') or 5432}"


def _parts(url: SecretStr) -> dict[str, Any]:
    sql.describe(url)  # a URL that is none is refused here, without showing it
    plain = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", url.get_secret_value())
    return dict(conninfo.conninfo_to_dict(plain))
