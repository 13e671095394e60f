"""The places where an application runs: [environments.NAME] of ops.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ops.kernel.settings.addresses import Fingerprint, HostAddress, HostFolder
from ops.kernel.settings.freeze import Window, Zone
from ops.kernel.settings.model import Model
from ops.kernel.settings.values import (
    Count,
    Factor,
    Filled,
    Flag,
    FrozenMap,
    Kept,
    Pause,
    Points,
    Port,
    Shares,
    Size,
    Text,
    VariableName,
    Wave,
)


class Policy(Model):
    """Who may deploy what to an environment, and when: [environments.NAME.policy]."""

    ci_only: Flag = False
    """Only a CI system deploys and rolls back: one of the variables CI, GITHUB_ACTIONS and GITLAB_CI is true."""
    branch: Text = ""
    """Branch that the commit must be on, as origin has it; without origin: as it is here."""
    clean: Flag = False
    """Refuse while there is work that is not committed."""
    after: Text = ""
    """Environment in which the release must have served before; its images are deployed, not built again."""
    freeze: tuple[Window, ...] = ()
    """When nothing is deployed: "2026-12-20T00:00/2027-01-03T00:00", or every week "fri 16:00/mon 08:00"."""
    time_zone: Zone = "UTC"
    """Time zone of `freeze`."""


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
    """Registry that the images of a `compose` environment go through, "registry.example.org/shop". Default: a
    temporary one here that the hosts reach through SSH."""
    registry_user: Text = ""
    """Reference to the user of `registry`; default: the engines here and on the hosts are logged in to it."""
    registry_password: Text = ""
    """Reference to the password or token of `registry_user`."""
    registry_image: Text = "registry:2"
    """Image of the temporary registry."""
    allow_down: Kept = 0
    """How many of the hosts may be down at a deploy: they are left out, and come along with the next one; never all."""
    free_disk: Size | None = None
    """Space that must be free for a deploy, here and on each host: "5GB", "500MB"; default: 5GB, for `local` 1GB."""
    port: Port = 8080
    """Port of the proxy on 127.0.0.1."""
    bake: Pause = 10.0
    """How long a new version in containers is watched after each switch and share; "0s": not at all."""
    bake_errors: Points = 2.0
    """How many percentage points more of its requests may fail there than of the version before."""
    bake_latency: Factor = 3.0
    """How many times as long as those of the version before its answers may take."""
    rollout: Shares = (100,)
    """Percent of the requests that a new version in containers gets, step by step: [5, 25, 100]."""
    wave: Wave | None = None
    """How many hosts are switched at once, a number or a part such as "25%"; default: one or two hosts at once, of
    more half of them."""
    warm: Pause = 3600.0
    """How long the containers of the version before go on, for the instant way back; "0s": they end with the deploy."""
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
    policy: Policy = Policy()
    """Who may deploy what here, and when."""
    state: Literal["local"] | None = None
    """`local`: without OPS_STATE_URL the journal of a protected environment is in .ops/ of this
    machine."""
