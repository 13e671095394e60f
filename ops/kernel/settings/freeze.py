"""When nothing is deployed: once ("2026-12-20T00:00/2027-01-03T00:00") or weekly ("fri 16:00/mon 08:00")."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY: Final = rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)"
_RULE: Final = '"2026-12-20T00:00/2027-01-03T00:00" or "fri 16:00/mon 08:00"'


def until(window: str, moment: datetime, zone: tzinfo) -> str:
    """Return when a window ends that a moment lies in, as it is written; empty outside of it.

    Args:
        window: Begin, which belongs to it, and end, which does not.
        moment: With its time zone.
        zone: Of times that have none of their own.
    """
    begin, end = window.split("/")
    if re.fullmatch(_WEEKLY, begin):
        local = moment.astimezone(zone)
        now = (local.weekday() * 24 + local.hour) * 60 + local.minute
        first, last = _minute(begin), _minute(end)
        inside = first <= now < last if first < last else now >= first or now < last
    else:
        inside = _moment(begin, zone) <= moment < _moment(end, zone)
    return end if inside else ""


def _minute(text: str) -> int:
    """Return the minute of the week."""
    day, _, clock = text.partition(" ")
    hour, _, minute = clock.partition(":")
    return (DAYS.index(day) * 24 + int(hour)) * 60 + int(minute)


def _moment(text: str, zone: tzinfo) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _window(value: str) -> str:
    begin, slash, end = value.strip().lower().partition("/")
    wrong = ValueError(f"must be {_RULE}, not {value[:60]!r}")
    if not slash:
        raise wrong
    if all(re.fullmatch(_WEEKLY, each) for each in (begin, end)):
        ordered = begin != end
    else:
        begin, end = begin.upper(), end.upper()
        try:
            # Any zone does for the comparison: both have the same, or one of their own.
            ordered = _moment(begin, UTC) < _moment(end, UTC)
        except ValueError:
            raise wrong from None
    if not ordered:
        raise ValueError(f"must begin before it ends, not {value[:60]!r}")
    return f"{begin}/{end}"


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(
            f'must be a time zone such as "Europe/Berlin", not {value[:60]!r}'
        ) from None
    return value


Window = Annotated[
    str,
    StringConstraints(strict=True),
    AfterValidator(_window),
    WithJsonSchema({"type": "string"}),
]
Zone = Annotated[str, StringConstraints(strict=True), AfterValidator(_zone)]
