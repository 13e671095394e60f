"""The Compose document that a host runs, derived from the user's.

A pure function. The user's services that ops.toml names are switched: they stand in it once for each slot. The slot
that is not filled now is carried over byte for byte from what the host runs, so a deploy cannot touch what serves. All
other services stay as the user wrote them. The document is whole: no profiles, env files, variables or files of the
repository are needed to read it on the host. It holds secrets; what may be shown is `Derived.changes`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ops.deploy.compose import haproxy, slotted
from ops.deploy.compose.changes import Changes, compare
from ops.deploy.compose.files import Placed, bound_device, unescaped
from ops.deploy.compose.model import Model, Service
from ops.hosts.haproxy import SLOTS
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings import models

OURS: Final = "x-invops"
"""Key of the document with what invops itself must remember of services that left the user's file: `gone` with the slot
that still needs them, `ended` when none does."""
_RESOLVED: Final = ("build", "profiles", "env_file", "extends", "develop", "container")
_SECTIONS: Final = ("networks", "volumes", "secrets", "configs")

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """What comes into a slot.

    Args:
        release: Release id.
        slot: blue or green.
        images: Image of each service that is switched or built, by digest or id.
        variables: What ops.toml adds to the environment of each switched service; holds secrets.
    """

    release: str
    slot: str
    images: Mapping[str, str]
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Derived:
    """What a host is to run.

    Args:
        document: The whole Compose document; holds secrets.
        changes: What is different from what it runs now, in names.
        digest: Hash of the document.
    """

    document: Document = field(repr=False)
    changes: Changes
    digest: str


def derive(
    model: Model,
    services: Mapping[str, models.Service],
    content: Content,
    *,
    front: haproxy.Front,
    placed: Placed,
    base: str,
    present: Document | None = None,
) -> Derived:
    """Derive what a host is to run.

    Args:
        model: The user's Compose file.
        services: The services of ops.toml: these are switched.
        content: What comes into which slot.
        front: The proxy.
        placed: Where files of the repository lie on the host.
        base: The environment's folder on the host.
        present: What the host runs now, None for nothing.

    Raises:
        ConfigurationError: A service cannot run twice, has no port or image, or has a name that invops needs.
    """
    present = present or {}
    _check_names(model, services)
    other = SLOTS[1 - SLOTS.index(content.slot)]
    users = {
        name: _resolved(model.services[name], name, content, placed, base)
        for name in model.services
    }
    switched = {name: users[name] for name in services}
    made = {haproxy.NAME: haproxy.container(front, _escaped(f"{base}/proxy"))}
    made |= {name: _kept(each, services) for name, each in users.items() if name not in services}
    for name, each in switched.items():
        made[slotted.name(name, content.slot)] = _in_slot(
            name, each, switched, services[name], content
        )
    there = present.get("services") or {}
    carried = {name: each for name, each in there.items() if slot_of(each) == other}
    gone = _still_needed(present, made, other) if carried else {}
    made |= carried | {name: there[name] for name in gone}
    document = {
        "name": model.project,
        "services": made,
        **{name: _section(model, name, placed, base, present, bool(carried)) for name in _SECTIONS},
        OURS: {"gone": gone, "ended": _ended(present, made)},
    }
    lost = [line for name in services for line in slotted.dropped(name, model.services[name])]
    lost += [
        line
        for name in users
        if name not in services
        for line in _missed(name, users[name], services)
    ]
    return Derived(
        document, compare(present, document, sorted(services), content, lost), digest(document)
    )


def slot_of(service: Service) -> str:
    """Return the slot that a service of a derived document belongs to, empty for one that is not switched."""
    return str((service.get("labels") or {}).get(slotted.SLOT, ""))


def digest(document: Document) -> str:
    """Return the hash by which a document is compared."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _check_names(model: Model, services: Mapping[str, models.Service]) -> None:
    ours = {haproxy.NAME, *(slotted.name(name, slot) for name in services for slot in SLOTS)}
    for taken in sorted(ours & model.services.keys()):
        raise ConfigurationError(
            f"the Compose file has a service {taken}, a name that invops needs itself"
        )
    networks = {haproxy.network(slot) for slot in SLOTS}
    for taken in sorted(networks & model.section("networks").keys()):
        raise ConfigurationError(
            f"the Compose file has a network {taken}, a name that invops needs itself"
        )


def _resolved(
    given: Service, name: str, content: Content, placed: Placed, base: str
) -> dict[str, Any]:
    """Return a service that needs nothing of the repository: with its image, and its files where the host has them."""
    made = {key: each for key, each in given.items() if key not in _RESOLVED}
    if name in content.images:
        made |= {"image": content.images[name], "pull_policy": "never"}
    if "image" not in made:
        raise ConfigurationError(
            f"service {name} of the Compose file has no image, and none was built"
        )
    # Without a value it would be taken from whoever runs Compose on the host.
    if "environment" in made:
        variables = made["environment"].items()
        made["environment"] = {key: each for key, each in variables if each is not None}
    if made.get("volumes"):
        made["volumes"] = [_mounted(each, placed, base) for each in made["volumes"]]
    return made


def _mounted(volume: Mapping[str, Any], placed: Placed, base: str) -> dict[str, Any]:
    path = (
        placed.paths.get(unescaped(str(volume.get("source", ""))))
        if volume.get("type") == "bind"
        else None
    )
    if path is None:
        return dict(volume)
    made = {**volume, "source": _escaped(f"{base}/{path}")}
    if path.parts[0] == "files":  # a file that did not arrive is an error, not an empty folder
        made["bind"] = {**(volume.get("bind") or {}), "create_host_path": False}
    return made


def _kept(given: dict[str, Any], services: Mapping[str, models.Service]) -> dict[str, Any]:
    """Return a service that is not switched; it cannot wait for one that is."""
    made = {key: each for key, each in given.items() if key not in ("depends_on", "links")}
    if waits := {
        key: each for key, each in (given.get("depends_on") or {}).items() if key not in services
    }:
        made["depends_on"] = waits
    if linked := [f"{to}:{alias}" for to, alias in slotted.links(given) if to not in services]:
        made["links"] = linked
    return made


def _missed(name: str, given: Service, services: Mapping[str, models.Service]) -> list[str]:
    wanted = {*(given.get("depends_on") or {}), *(to for to, _ in slotted.links(given))}
    return [
        f"{name}: does not wait for {each}, and does not find it by this name; "
        f"if it must, switch it too: [services.{name}] in ops.toml"
        for each in sorted(wanted & services.keys())
    ]


def _in_slot(
    name: str,
    given: Service,
    switched: Mapping[str, Service],
    described: models.Service,
    content: Content,
) -> dict[str, Any]:
    if name not in content.images:
        raise ConfigurationError(f"no image was built or found for service {name}")
    if described.route and described.container_port is None:
        raise ConfigurationError(
            f"services.{name} gets requests, but nobody says on which port of its container",
            hint=f"add to [services.{name}] in ops.toml: container = 8000",
        )
    variables = {key: _escaped(each) for key, each in content.variables.get(name, {}).items()}
    return slotted.slotted(
        name,
        {**given, "environment": {**(given.get("environment") or {}), **variables}},
        slot=content.slot,
        release=_escaped(content.release),
        neighbours=switched,
        known_as=slotted.aliases(name, switched),
        routed=bool(described.route),
        stop_seconds=described.stop_timeout,
    )


def _still_needed(present: Document, made: Document, other: str) -> dict[str, str]:
    """Return the services that left the user's file but are of the release that serves, and the slot of that one."""
    known = (present.get(OURS) or {}).get("gone") or {}
    there = present.get("services") or {}
    left = [name for name in there if not slot_of(there[name]) and name not in made]
    return {name: other for name in left if known.get(name, other) == other}


def _ended(present: Document, made: Document) -> list[str]:
    """Return the services that were ours and are not any more; containers of anybody else are left alone."""
    before = (present.get(OURS) or {}).get("ended") or []
    there = present.get("services") or {}
    ours = {*before, *(name for name in there if not slot_of(there[name]))}
    return sorted(ours - made.keys())


def _section(
    model: Model, name: str, placed: Placed, base: str, present: Document, carried: bool
) -> dict[str, Any]:
    section = {key: _in_place(key, each, placed, base) for key, each in model.section(name).items()}
    if name == "networks":
        section |= {
            haproxy.network(slot): {"name": f"{model.project}_{haproxy.network(slot)}"}
            for slot in SLOTS
        }
    return {**(present.get(name) or {} if carried else {}), **section}


def _in_place(
    name: str, given: Mapping[str, Any] | None, placed: Placed, base: str
) -> dict[str, Any]:
    made = dict(given or {})
    path = placed.paths.get(unescaped(made["file"])) if made.get("file") else None
    if made.get("environment") and name in placed.secrets:
        path = placed.secrets[name]
        del made["environment"]
    if path is not None:
        made["file"] = _escaped(f"{base}/{path}")
    device = placed.paths.get(unescaped(bound_device(made)))
    if device is not None:
        made["driver_opts"] = {**made["driver_opts"], "device": _escaped(f"{base}/{device}")}
    return made


def _escaped(text: str) -> str:
    """Write a text so that Compose reads it as it is."""
    return text.replace("$", "$$")
