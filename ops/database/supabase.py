"""A Supabase project's URL and keys: do they fit together, and does the project answer to them?

The signature of a key is not checked: its secret is on the server, which is asked instead.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from ops.hosts import http
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import OpsError
from ops.kernel.report import Report, Table

CLOUD: Final = ".supabase.co"
_HERE: Final = ("localhost", "127.0.0.1", "::1")
_ENDPOINTS: Final = ("/rest/v1/", "/auth/v1/health")
_NEW_KEYS: Final = {"anon": "sb_publishable_", "service_role": "sb_secret_"}
_REFUSED: Final = (401, 403)
_SECONDS: Final = 5.0
_LAST_SECOND: Final = 253402300799
"""Of the year 9999."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        state: `ok`, `wrong` or `missing`.
        detail: What was found; never a key.
    """

    name: str
    state: str
    detail: str = ""


def check(context: Context) -> list[Check]:
    """Look at URL, keys and endpoints; nothing when no variable SUPABASE_* is set for the environment."""
    options = context.settings.options
    keys = {"anon": options.supabase_anon_key, "service_role": options.supabase_service_key}
    variables = {"anon": "SUPABASE_ANON_KEY", "service_role": "SUPABASE_SERVICE_KEY"}
    if options.supabase_url is None:
        if not any(keys.values()):
            return []
        return [Check("SUPABASE_URL", "missing", "a key is set, the URL is not")]
    url = options.supabase_url.get_secret_value().rstrip("/")
    found = [_url(url)]
    host = _host(url)
    for role, key in keys.items():
        if key is None:
            found.append(Check(variables[role], "missing", "not set: not checked"))
        else:
            found.append(_key(variables[role], key, role, host))
    if found[0].state != "wrong":
        found += _endpoints(context, url, {role: key for role, key in keys.items() if key})
    return found


def announce(report: Report, context: Context) -> Report:
    """Add the checks to the report of db.extensions; one that is wrong makes the exit code 1."""
    found = check(context)
    if not found:
        return report
    table = Table(
        ("check", "state", "detail"),
        [(each.name, each.state, each.detail) for each in found],
        title="Supabase",
    )
    rows = [{"name": each.name, "state": each.state, "detail": each.detail} for each in found]
    answer = replace(report, tables=(*report.tables, table), data={**report.data, "supabase": rows})
    if report.exit_code or not any(each.state == "wrong" for each in found):
        return answer
    return replace(answer, status="difference", exit_code=exits.GENERAL)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets that do not hold an IPv6 address
        return ""


def _url(url: str) -> Check:
    host, name = _host(url), "SUPABASE_URL"
    parts = urlsplit(url) if host else urlsplit("")
    if not host or parts.path or parts.query or parts.username:
        return Check(name, "wrong", "not of the form https://PROJECT.supabase.co")
    if parts.scheme != "https" and host not in _HERE:
        return Check(name, "wrong", f"{host} by http: keys would travel in the open")
    return Check(name, "ok", host)


def _key(name: str, key: SecretStr, role: str, host: str) -> Check:
    text = key.get_secret_value()
    for each, prefix in _NEW_KEYS.items():
        if text.startswith(prefix):
            state = "ok" if each == role else "wrong"
            return Check(name, state, f"a key of the new kind, {prefix}…, for {each}")
    claims = _claims(text)
    if claims is None:
        return Check(name, "wrong", "neither a JWT nor a key of the new kind")
    wrong = list(_faults(claims, role, host))
    expires = claims.get("exp")
    until = ""
    if expires is not None and not wrong:
        until = time.strftime(", until %Y-%m-%d", time.gmtime(min(expires, _LAST_SECOND)))
    return Check(name, "wrong" if wrong else "ok", "; ".join(wrong) or f"role {role}{until}")


def _claims(text: str) -> dict[str, Any] | None:
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        found = [
            json.loads(base64.b64decode(each + "=" * (-len(each) % 4), b"-_", validate=True))
            for each in parts[:2]
        ]
    except (ValueError, binascii.Error):
        return None
    return found[1] if all(isinstance(each, dict) for each in found) else None


def _faults(claims: dict[str, Any], role: str, host: str) -> Iterator[str]:
    """Yield what is wrong; a value of the key is shown only when it is a known word."""
    known = claims.get("role")
    if known != role:
        shown = known if known in _NEW_KEYS else "another or none"
        yield f"its role is {shown}, not {role}"
    expires = claims.get("exp")
    if expires is not None and not (isinstance(expires, int | float) and math.isfinite(expires)):
        yield "its end is no time"
    elif expires is not None and expires <= time.time():
        yield "expired"
    if host.endswith(CLOUD):
        reference = claims.get("ref")
        if reference != host.removesuffix(CLOUD):
            yield "it is for another project than the URL"


def _endpoints(context: Context, url: str, keys: dict[str, SecretStr]) -> Iterator[Check]:
    for path in _ENDPOINTS:
        for role, key in keys.items():
            value = key.get_secret_value()
            if not (value.isascii() and value.isprintable()):
                continue  # no header can carry it, and its own check says that it is wrong
            headers = {"apikey": value}
            if not value.startswith(_NEW_KEYS[role]):  # a key of the new kind is no bearer token
                headers["Authorization"] = f"Bearer {value}"
            yield _endpoint(context, url, path, f"with the {role} key", headers)
        yield _endpoint(context, url, path, "without a key", {})


def _endpoint(context: Context, url: str, path: str, how: str, headers: dict[str, str]) -> Check:
    name = f"{path} {how}"
    try:
        status = http.get(
            url + path, headers=headers, timeout=_SECONDS, deadline=context.deadline
        ).status
    except OpsError as error:
        return Check(name, "wrong", error.why or error.what)
    if headers:
        return Check(name, "ok" if status == 200 else "wrong", f"answers {status}")
    if status in _REFUSED:
        return Check(name, "ok", f"refused: {status}")
    return Check(name, "wrong", f"answers {status}: it must refuse")
