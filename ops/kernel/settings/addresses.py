"""Addresses of hosts: `user@host` or `user@host:port`, an IPv6 address in brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

SSH_PORT: Final = 22
ADDRESS_PATTERN: Final = (
    r"([A-Za-z0-9_][A-Za-z0-9._-]*)@([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?"
)
FINGERPRINT_PATTERN: Final = r"SHA256:[A-Za-z0-9+/]{43}"
DOMAIN_PATTERN: Final = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]"
ACME_PATTERN: Final = r"https://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?"
LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
FOLDER_PATTERN: Final = r"(/[A-Za-z0-9._@+-]+)+"


@dataclass(frozen=True)
class Address:
    """Where a host's SSH server is.

    Args:
        user: Who logs in.
        host: Name or address, IPv6 without brackets.
        port: Its TCP port.
    """

    user: str
    host: str
    port: int = SSH_PORT

    @property
    def name(self) -> str:
        """What people and other settings call the host: the form of known_hosts, without the usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SSH_PORT else f"{host}:{self.port}"


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(ADDRESS_PATTERN, text)
    port = int(found[3] or SSH_PORT) if found else 0
    if not found or not 0 < port < 65536:
        raise ValueError(f'must be "user@host" or "user@host:port", not {text[:60]!r}')
    return Address(found[1], found[2].strip("[]"), port)


def _address(value: str) -> str:
    parse(value)
    return value


def _fingerprint(value: str) -> str:
    if not re.fullmatch(FINGERPRINT_PATTERN, value.rstrip("=")):
        raise ValueError(
            f'must be a fingerprint such as "SHA256:..." from ssh-keygen -l, not {value[:60]!r}'
        )
    return value.rstrip("=")


def _folder(value: str) -> str:
    if value and (not re.fullmatch(FOLDER_PATTERN, value) or "/../" in f"{value}/"):
        raise ValueError(f"must be an absolute path of plain characters, not {value[:60]!r}")
    return value


def _domain(value: str) -> str:
    if value and (not re.fullmatch(DOMAIN_PATTERN, value) or len(value) > 253):
        raise ValueError(f'must be a name such as "shop.example.org", not {value[:60]!r}')
    return value


def _acme(value: str) -> str:
    if not re.fullmatch(ACME_PATTERN, value):
        raise ValueError(f'must be a URL such as "{LETS_ENCRYPT}", not {value[:60]!r}')
    return value


_STRICT: Final = StringConstraints(strict=True)
HostAddress = Annotated[
    str,
    _STRICT,
    AfterValidator(_address),
    WithJsonSchema({"type": "string", "pattern": f"^{ADDRESS_PATTERN}$"}),
]
Fingerprint = Annotated[
    str,
    _STRICT,
    AfterValidator(_fingerprint),
    WithJsonSchema({"type": "string", "pattern": f"^{FINGERPRINT_PATTERN}=?$"}),
]
HostFolder = Annotated[str, _STRICT, AfterValidator(_folder)]
Domain = Annotated[str, _STRICT, AfterValidator(_domain)]
AcmeServer = Annotated[
    str,
    _STRICT,
    AfterValidator(_acme),
    WithJsonSchema({"type": "string", "pattern": f"^{ACME_PATTERN}$"}),
]
