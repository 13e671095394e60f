"""Sizes and ages as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def size(count: float) -> str:
    """Return a number of bytes in decimal units: "12 B", "3.4 MB"."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return (
        f"{count:.0f} {_UNITS[unit]}"
        if unit == 0 or count >= 100
        else f"{count:.1f} {_UNITS[unit]}"
    )


def counted(number: int, noun: str) -> str:
    """Return a number of things: "1 row", "1,200 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def rate(count: float, seconds: float) -> str:
    """Return bytes in a time as a rate: "51 MB/s"."""
    return f"{size(count / max(seconds, 1e-3))}/s"


def moment(text: str) -> datetime:
    """Read a time of a manifest, ISO 8601 in UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def now() -> str:
    """Return the time as a manifest has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def age(text: str, at: datetime | None = None) -> str:
    """Return how long ago a time of a manifest was: "5 min", "3 h", "12 days"."""
    seconds = max(0.0, ((at or datetime.now(UTC)) - moment(text)).total_seconds())
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds // _DAY:.0f} days"


def days(text: str, at: datetime | None = None) -> str:
    """Return an age in whole days, for plans: it must not change between showing one and running it."""
    count = ((at or datetime.now(UTC)) - moment(text)).days
    return f"{counted(count, 'day')} old"
