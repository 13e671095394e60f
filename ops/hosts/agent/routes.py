"""The text of haproxy.cfg on the host: which slot serves, which structure it is, and how one becomes another.

The deployer renders it (ops/hosts/haproxy/config.py). What is done here needs the text of before, which only the host
has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SERVING = re.compile(r"^  server (blue|green)\d* \S+$", re.MULTILINE)
_SERVER = re.compile(
    r"^(?P<line>  server (?P<name>(?P<slot>blue|green)\d*) \S+)(?P<rest>.*)$", re.MULTILINE
)
_DIGEST = re.compile(r'^(  description "\S+ )(\w+)"$', re.MULTILINE)


def active_in(text: str) -> str:
    """Return the slot that a configuration lets serve, empty for none."""
    serving = {found[1] for found in _SERVING.finditer(text)}
    return serving.pop() if len(serving) == 1 else ""


def digest_in(text: str) -> str:
    """Return the digest of the structure that a configuration names."""
    found = _DIGEST.search(text)
    return found[2] if found else ""


def pinned(text: str, addresses: Mapping[str, str]) -> str:
    """Return a configuration whose servers begin with these addresses, by `service/server`.

    A slot with another number of copies than before begins with those of the same number; there is always a first.
    """
    numbered = {_numbered(name): address for name, address in addresses.items()}

    def section(name: str, body: str) -> str:
        def line(found: re.Match[str]) -> str:
            address = numbered.get(_numbered(f"{name}/{found['name']}"))
            return f"{found['line']} init-addr {address}{found['rest']}" if address else found[0]

        return _SERVER.sub(line, body)

    return _joined({head: section(head.partition(" ")[2], body) for head, body in _sections(text)})


def merged(present: str, new: str, slot: str, active: str) -> str:
    """Return a configuration that routes as before and lets the services of a new one be asked in one slot.

    A new release may have other services, ports, paths or routes. Until the switch those of the old one hold; whole
    sections of the new one come with the switch.

    Args:
        present: What the proxy runs.
        new: What it will run.
        slot: The slot that is filled.
        active: The slot that serves.
    """
    sections = dict(_sections(present))
    for head, body in _sections(new):
        if head.startswith("backend :probe-") and head.endswith(f"-{slot}"):
            sections[head] = body
        sections.setdefault(head, body)
    both = f"{routed_as(digest_in(present))}_{digest_in(new)}"
    return with_active(_DIGEST.sub(rf'\g<1>{both}"', _joined(sections)), active)


def with_active(text: str, slot: str) -> str:
    """Return the same configuration with another slot active."""
    return _SERVER.sub(
        lambda found: found["line"] + ("" if found["slot"] == slot else " disabled"), text
    )


def routed_as(digest: str) -> str:
    """Return the structure whose routes hold: the first of a merged one."""
    return digest.partition("_")[0]


def _numbered(name: str) -> str:
    """Return a server's name as it is where there are several: the only one, `web/blue`, is `web/blue1`."""
    return name if name[-1].isdigit() else f"{name}1"


def _sections(text: str) -> list[tuple[str, str]]:
    """Split a configuration at its empty lines; the first line of a part is its name."""
    parts = [part for part in text.rstrip("\n").split("\n\n") if part]
    return [(part.partition("\n")[0], part) for part in parts]


def _joined(sections: Mapping[str, str]) -> str:
    return "\n\n".join(sections.values()) + "\n"
