"""The variables that invops reads, and when they apply.

Those that point at a database or a service apply only when ENVIRONMENT is unset or names the chosen
environment, and never to a protected one, so that a value left in a shell cannot reach production.
Source of the names without prefix: seed 002, "Environment Variables"; of the rule: DESIGN.md 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from ops.kernel.redact import SHORTEST
from ops.kernel.settings import environ as process
from ops.kernel.settings.faults import Fault, did_you_mean, one_of
from ops.kernel.settings.models import Options, Source


def _truth(text: str) -> bool:
    value = process.truth(text)
    if value is None:
        raise ValueError("is neither true nor false: write true, false, yes, no, on, off, 1 or 0")
    return value


def _choice(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        word = text.strip().lower()
        if word not in choices:
            raise ValueError(
                f"must be {one_of(choices)}, not {text[:60]!r}{did_you_mean(word, choices)}"
            )
        return word

    return read


def _folder(text: str) -> Path:
    if not Path(text).is_absolute():
        raise ValueError(f"must be an absolute path, not {text[:200]!r}")
    return Path(text)


def _url(*schemes: str) -> Callable[[str], SecretStr]:
    def read(text: str) -> SecretStr:
        if text.partition("://")[0] not in schemes:
            starts = one_of([f"{scheme}://" for scheme in schemes])
            raise ValueError(f"must be a URL that starts with {starts}")
        return _secret(text)

    return read


def _secret(text: str) -> SecretStr:
    if len(text) < SHORTEST:
        raise ValueError(f"has fewer than {SHORTEST} characters, too few to be hidden in output")
    return SecretStr(text)


@dataclass(frozen=True)
class Variable:
    """A variable that is read.

    Args:
        name: Its name.
        field: The field of Options that it fills; empty for ENVIRONMENT, which chooses.
        read: Turns its text into the value; raises ValueError with the end of a sentence.
        help: What it does.
        points: Whether it points at a service, so that the rule of this module holds.
    """

    name: str
    field: str
    read: Callable[[str], Any]
    help: str
    points: bool = False


_DATABASE: Final = _url("postgresql", "postgres", "mysql", "mysql+pymysql", "mariadb")
_STATE: Final = _url("postgresql", "postgres", "postgresql+psycopg")
# A later line for the same field wins.
VARIABLES: Final = (
    Variable("ENVIRONMENT", "", str, "Environment of a task without `--env`."),
    Variable("DRY_RUN", "dry_run", _truth, "Plan only, like `--dry-run`."),
    Variable("SAFE_MODE", "safe_mode", _truth, "Change nothing, whatever is asked."),
    Variable(
        "LOG_LEVEL",
        "log_level",
        _choice("debug", "info", "warning", "error"),
        "Lowest level of log lines.",
    ),
    Variable(
        "OPS_LOG_LEVEL",
        "log_level",
        _choice("debug", "info", "warning", "error"),
        "The same, and wins over LOG_LEVEL.",
    ),
    Variable("OPS_FORMAT", "format", _choice("text", "json"), "Output, like `--format`."),
    Variable("OPS_ACTOR", "actor", str, "Who is named in the journal and the audit trail."),
    Variable("OPS_HOME", "home", _folder, "Folder of the daemon, server data and releases."),
    Variable("OPS_STATE_URL", "state_url", _STATE, "State database of a team."),
    Variable(
        "OPS_STATE_ADMIN_URL",
        "state_admin_url",
        _STATE,
        "Owner's access to the state database, for its own migrations.",
    ),
    Variable(
        "DATABASE_URL",
        "database_url",
        _DATABASE,
        "External database, in place of the environment's `database_url`.",
        points=True,
    ),
    Variable("REDIS_URL", "redis_url", _url("redis", "rediss"), "Redis.", points=True),
    Variable("SUPABASE_URL", "supabase_url", _url("https", "http"), "Supabase.", points=True),
    Variable("SUPABASE_ANON_KEY", "supabase_anon_key", _secret, "Its public key.", points=True),
    Variable(
        "SUPABASE_SERVICE_KEY", "supabase_service_key", _secret, "Its admin key.", points=True
    ),
)


@dataclass
class Reading:
    """What the variables say.

    Args:
        values: Values for `Options`.
        sources: Where they came from, by dotted key.
        ignored: Variables that do not apply here, and why.
        faults: Wrong ones.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def options(self) -> Options:
        """Return them as a model."""
        return Options(**self.values)


def read(environ: Mapping[str, str], chosen: str, protected: bool) -> Reading:
    """Read all variables for the chosen environment.

    Args:
        environ: Variables of the process.
        chosen: Name of the environment.
        protected: Whether it is protected.
    """
    reading = Reading()
    reason = _why_not(environ.get("ENVIRONMENT", ""), chosen, protected)
    for variable in VARIABLES:
        text = environ.get(variable.name, "")
        if not text.strip() or not variable.field:
            continue
        if variable.points and reason:
            reading.ignored[variable.name] = reason
            continue
        try:
            reading.values[variable.field] = variable.read(text)
        except ValueError as error:
            reading.faults.append(Fault("", 0, variable.name, str(error)))
        reading.sources[f"options.{variable.field}"] = Source("variable", variable.name)
    reading.faults += _unknown(environ)
    return reading


def _why_not(environment: str, chosen: str, protected: bool) -> str:
    if protected:
        return f"{chosen} is protected"
    if environment and environment != chosen:
        return f"ENVIRONMENT is {environment}, not {chosen}"
    return ""


def _unknown(environ: Mapping[str, str]) -> list[Fault]:
    names = [each.name for each in VARIABLES if each.name.startswith("OPS_")]
    unknown = sorted(each for each in environ if each.startswith("OPS_") and each not in names)
    return [
        Fault("", 0, name, f"is not a known variable{did_you_mean(name, names)}")
        for name in unknown
    ]
