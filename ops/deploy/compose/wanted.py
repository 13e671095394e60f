"""What a release is to run on the hosts: its Compose file, what ops.toml adds to it, and both together for one host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ops.deploy import git, releases
from ops.deploy.compose import derived
from ops.deploy.compose import files as placing
from ops.deploy.compose import fleet, haproxy
from ops.deploy.compose import model as models
from ops.deploy.compose.derived import Content, Derived
from ops.deploy.compose.fleet import Host
from ops.hosts import machines
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.settings.models import Settings


@dataclass(frozen=True)
class Wanted:
    """A release as the hosts are to run it.

    Args:
        settings: Of the environment.
        release: Release id.
        model: Its Compose file.
        placed: Where the files that it mounts lie on a host.
        variables: What each switched service gets from ops.toml; holds secrets.
    """

    settings: Settings
    release: str
    model: models.Model = field(repr=False)
    placed: placing.Placed = field(repr=False)
    variables: Mapping[str, Mapping[str, str]] = field(repr=False)

    @property
    def built(self) -> list[str]:
        """Services whose image is built from the release."""
        return sorted(name for name, each in self.model.services.items() if each.get("build"))

    def derive(
        self, slot: str, images: Mapping[str, str], present: Mapping[str, Any] | None
    ) -> Derived:
        """Return the document for a host.

        Args:
            slot: Which one is filled.
            images: Image of each switched or built service.
            present: The document that the host runs now.
        """
        settings = self.settings
        return derived.derive(
            self.model,
            settings.services,
            Content(self.release, slot, images, self.variables),
            front=self._front,
            placed=self.placed,
            base=machines.place(settings).base,
            present=present,
        )

    def is_in(self, host: Host, slot: str, *, warm: bool) -> bool:
        """Say whether a slot of a host runs exactly this: release, definitions and values.

        Args:
            host: As it was observed.
            slot: Which slot.
            warm: It is enough that its web services run: its workers start at the switch.
        """
        there = (host.present or {}).get("services", {})
        mine = {name: f"{name}-{slot}" for name in self.settings.services}
        if host.slots[slot].get("release") != self.release or not there.keys() >= set(
            mine.values()
        ):
            return False
        needed = {
            mine[name] for name, each in self.settings.services.items() if each.route or not warm
        }
        others = {name for name, each in there.items() if not derived.slot_of(each)}
        if not {*needed, haproxy.NAME} <= host.running or host.changed - there.keys():
            return False
        if host.changed & {*needed, *others}:
            return False
        images = {name: there[name]["image"] for name in self.built if name in there}
        images |= {name: there[known]["image"] for name, known in mine.items()}
        expected = self.derive(slot, images, host.present).document["services"]
        return all(there.get(name) == each for name, each in expected.items())

    def proxy(self, active: str) -> str:
        """Return the proxy's configuration with a slot active, none when empty."""
        copies = {name: _copies(self.model.services[name]) for name in self.settings.services}
        return haproxy.config(
            fleet.project(self.settings),
            self.settings.services,
            copies,
            active,
            tls=self._front.tls,
        )

    @property
    def _front(self) -> haproxy.Front:
        chosen = self.settings.environment
        return haproxy.Front(chosen.proxy_image, chosen.port, tls=bool(chosen.domain))

    def checks(self, slot: str) -> dict[str, dict[str, str]]:
        """Return what each web service of a slot must answer, by its name in the document."""
        return checks(self.settings, self.release, slot)


def checks(settings: Settings, release: str, slot: str) -> dict[str, dict[str, str]]:
    """Return what each web service of a slot must answer, by its name in the document."""
    return {
        f"{name}-{slot}": {
            "path": each.health,
            "version_key": each.health_version,
            "version": release,
        }
        for name, each in settings.services.items()
        if each.route
    }


def read(context: Context, folder: Path, release: str) -> Wanted:
    """Read what a release is to run.

    Args:
        context: Surroundings.
        folder: All of ops.toml's folder as the release has it.
        release: Its id.

    Raises:
        ConfigurationError: The Compose file is invalid, or lacks a service of ops.toml.
    """
    settings = context.settings
    variables = _values(context)
    found = models.read(
        context,
        folder if settings.compose.files else folder / settings.app.root,
        project=fleet.project(settings),
        files=settings.compose.files,
        profiles=settings.compose.profiles,
        variables=variables,
        switched=sorted(settings.services),
        top=folder,
    )
    own = {name: _variables(context, name, release) for name in settings.services}
    return Wanted(settings, release, found, placing.place(found, variables), own)


def ahead(context: Context, revision: git.Revision) -> Wanted:
    """Read what a release is to run before it is unpacked; of each tree once, as `of`."""

    def found() -> Wanted:
        with files.scratch("invops-plan-") as folder:
            git.export(context, revision.tree, revision.dirty, folder / "all", whole=True)
            made = read(context, (folder / "all").resolve(), revision.release)
            _planned[made.release] = made
            return made

    return _once(context, f"{revision.release} {revision.tree}", found)


def of(context: Context, release: str) -> Wanted:
    """Read what a release that is unpacked here is to run; once in a process, for Compose takes its time."""
    folder = releases.folder(context.settings, release) / releases.REPOSITORY

    def found() -> Wanted:
        planned = _planned.get(release)
        if planned is None or planned.settings is not context.settings:
            return read(context, folder, release)
        model = planned.model.moved(folder)
        return replace(planned, model=model, placed=placing.place(model, _values(context)))

    return _once(context, str(folder), found)


_known: dict[str, Wanted] = {}
_planned: dict[str, Wanted] = {}
"""What was read of a release before it was unpacked: the same files in another folder."""


def _once(context: Context, key: str, find: Callable[[], Wanted]) -> Wanted:
    known = _known.get(key)
    if known is None or known.settings is not context.settings:
        known = _known[key] = find()
    return known


def _values(context: Context) -> dict[str, str]:
    """Return the values for `${NAME}` in the Compose file."""
    return {**context.settings.environment.environment, **_secrets(context)}


def _secrets(context: Context) -> dict[str, str]:
    chosen = context.settings.environment
    return {
        name: context.secrets.resolve(each).get_secret_value()
        for name, each in chosen.secrets.items()
    }


def _variables(context: Context, name: str, release: str) -> dict[str, str]:
    """Return what ops.toml adds to a service's environment: nothing of this machine, whose paths a container lacks."""
    settings = context.settings
    described = settings.services[name]
    found = {
        **described.environment,
        **settings.environment.environment,
        **_secrets(context),
        **{
            key: context.secrets.resolve(each).get_secret_value()
            for key, each in described.secrets.items()
        },
        settings.app.version_variable: release,
    }
    if settings.database is not None and settings.environment.database_url:
        url = context.secrets.resolve(settings.environment.database_url)
        found[settings.database.variable] = url.get_secret_value()
    return found


def _copies(service: models.Service) -> int:
    replicas = (service.get("deploy") or {}).get("replicas") or service.get("scale") or 1
    return int(replicas)
