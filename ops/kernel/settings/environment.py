"""The places where an application runs: [environments.NAME] of ops.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ops.kernel.settings.addresses import (
    LETS_ENCRYPT,
    AcmeServer,
    Domain,
    Fingerprint,
    HostAddress,
    HostFolder,
)
from ops.kernel.settings.model import Model
from ops.kernel.settings.values import (
    Count,
    Filled,
    Flag,
    FrozenMap,
    Inside,
    Port,
    Text,
    VariableName,
)


class Environment(Model):
    """A place where the application runs."""

    target: Literal["local", "compose"]
    """Kind of place: `local` is processes on this machine, `compose` containers of a Compose file."""
    hosts: tuple[HostAddress, ...] = ()
    """Hosts of a `compose` environment, `user@host` or `user@host:port` (SSH); default: the engine of this machine."""
    gateway: HostAddress | None = None
    """Host through which all hosts are reached, `user@host:port`."""
    host_keys: FrozenMap[Text, Fingerprint] = Field(default={}, validate_default=True)
    """Fingerprint of each host's key (`"host" = "SHA256:..."`, `"host:port"` for another port than 22); a host that
    is not named here must be in ~/.ssh/known_hosts or /etc/ssh/ssh_known_hosts."""
    ssh_key: Text = ""
    """Reference to the private key for the hosts; default: those of the SSH agent and of ~/.ssh."""
    base_folder: HostFolder = ""
    """Folder of the environment on each host; default: /var/lib/invops/APP-ENVIRONMENT."""
    proxy_image: Text = "haproxy:2.8"
    """Image of the proxy of a `compose` environment: HAProxy 2.6 or newer."""
    registry: Text = ""
    """Registry that the images of a `compose` environment go through, "registry.example.org/shop"; the engines here
    and on the hosts are logged in to it. Default: a temporary one here that the hosts reach through SSH."""
    registry_image: Text = "registry:2"
    """Image of the temporary registry."""
    port: Port = 8080
    """Port of the proxy on 127.0.0.1."""
    domain: Domain = ""
    """Name under which a `compose` environment on one host is reached: its proxy then has the ports 80 and 443 with a
    certificate that `inv setup.server` gets and the host renews."""
    acme_server: AcmeServer = LETS_ENCRYPT
    """Who gives the certificate: URL of the directory of an ACME server; default: Let's Encrypt."""
    acme_email: Text = ""
    """Whom the ACME server writes to when a certificate runs out."""
    acme_ca: Inside | None = None
    """File with the authority that signed the ACME server's own certificate, for a server that is not public."""
    protected: Flag = False
    """Ask for the environment's name before a change, and take no DATABASE_URL from a shell."""
    working_tree: Flag = False
    """Allow a deploy of work that is not committed."""
    keep_releases: Count = 5
    """How many releases stay for a rollback."""
    level: Literal["read", "write", "admin"] = "admin"
    """Highest level that tasks may have here."""
    database_url: Text = ""
    """Reference to the URL of an external database, for the application; default: the embedded server."""
    migration_url: Text = ""
    """Reference to a URL of it for the owner of the schema: migrations and backups; default: `database_url`."""
    reader_url: Text = ""
    """Reference to a URL of it for the read-only role."""
    admin_url: Text = ""
    """Reference to a URL of its server for a role that may create roles and databases."""
    backup_destination: Text = ""
    """In place of `backup.destination`."""
    backup_proof: Literal["", "hash", "decode", "data", "full"] = ""
    """In place of `backup.proof`."""
    empty_database: Flag = False
    """Whether a backup without tables is right here."""
    environment: FrozenMap[VariableName, Text] = Field(default={}, validate_default=True)
    """Variables of every service here; they win over those of the service. A Compose file may use them as well."""
    secrets: FrozenMap[VariableName, Filled] = Field(default={}, validate_default=True)
    """Likewise by reference, for `target = "compose"`: `env:NAME` or `file:PATH`."""
    state: Literal["local"] | None = None
    """`local`: without OPS_STATE_URL the journal of a protected environment is in .ops/ of this
    machine."""
