"""Images of a release: built once, named by what is in them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ops.deploy import releases
from ops.deploy.compose import fleet, haproxy, registry, wanted
from ops.hosts import machines, runner
from ops.hosts.machine import Machine
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import StepFailed
from ops.kernel.settings.models import Settings
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Built:
    """The images of a release.

    Args:
        ids: Id of the image of each service: the hash of its content.
    """

    ids: dict[str, str]


def tag(app: str, service: str, release: str) -> str:
    """Return the name that an image has where it was built; all environments share it."""
    return f"invops/{app}-{service}:{release.replace('+', '-')}"


def kept_tag(settings: Settings, service: str, release: str) -> str:
    """Return the name by which an environment keeps an image on its hosts, which others may share."""
    return f"invops/{fleet.project(settings)}/{service}:{release.replace('+', '-')}"


def tags(settings: Settings, services: Iterable[str], release: str) -> dict[str, str]:
    """Return the names of the images of a release on the hosts."""
    return {name: kept_tag(settings, name, release) for name in services}


def _are_built(context: Context, release: str) -> Done | None:
    """Say whether all images of a release are here; the same code gives the same image, so it is not built twice."""
    if releases.known(context.settings, release) is None:
        return None
    found = _ids(context, wanted.of(context, release))
    return Done("built already", Built(found)) if all(found.values()) else None


@step(
    title="Build the images of {release}", limit=minutes(30), check=_are_built, interruptible=True
)
def build(context: Context, release: str) -> Built:
    """Build the images of a release on this machine's engine, labelled with the commit.

    Raises:
        StepFailed: A build failed, or an image that is not built is not here and cannot be fetched.
    """
    settings = context.settings
    known = releases.load(settings, release)
    what = wanted.of(context, release)
    document = {
        "name": what.model.project,
        "services": {
            name: {
                "image": tag(settings.app.name, name, release),
                "build": _labelled(what.model.services[name]["build"], release, known.commit),
            }
            for name in what.built
        },
    }
    if what.built:
        with files.scratch("invops-build-") as folder:
            path = folder / "build.json"
            files.write(path, json.dumps(document))
            argv = ["docker", "compose", "-f", str(path), "build", "--progress", "plain"]
            runner.run(context, [*argv, *what.built], environment=runner.network_environment())
    found = _ids(context, what)
    for name, image in _names(context, what).items():
        if not found[name]:
            context.note(f"pull {image} for {name}")
            _fetch(context, name, image)
            found[name] = _id(context, image)
    if missing := sorted(name for name, id in found.items() if not id):
        raise StepFailed(f"no image of {', '.join(missing)} was built")
    return Built(found)


def _fetch(context: Context, service: str, image: str) -> None:
    result = runner.run(context, ["docker", "pull", "--quiet", image], check=False)
    if result.code != 0:
        raise StepFailed(
            f"image {image} of service {service} is not here and cannot be fetched",
            why="".join(result.stderr.strip().splitlines()[-1:]),
            hint="correct its name in the Compose file, or: docker login",
        )


@dataclass(frozen=True)
class Delivered:
    """The images of a release on the hosts.

    Args:
        ids: By host: id of the image of each service there.
        references: Where hosts fetched each from, by digest; nothing without a registry of the user's own.
    """

    ids: dict[str, dict[str, str]]
    references: dict[str, str] = field(default_factory=dict)


def _are_there(context: Context, release: str, images: dict[str, str]) -> Done | None:
    return delivered(context, release, images)


def delivered(context: Context, release: str, services: Iterable[str]) -> Done | None:
    """Say whether every host has all images of a release, and the proxy's when it could be brought."""
    wanted_ = tags(context.settings, services, release)
    found = there(context, {**wanted_, **proxy(context)})
    if not all(all(ids.values()) for ids in found.values()):
        return None
    ids = {name: {key: each[key] for key in wanted_} for name, each in found.items()}
    return Done("there already", Delivered(ids))


@step(
    title="Bring the images of {release} to the hosts",
    limit=minutes(15),
    check=_are_there,
    interruptible=True,
)
def deliver(context: Context, release: str, images: dict[str, str]) -> Delivered:
    """Push the images to a registry; every host fetches by digest what it lacks.

    Raises:
        StepFailed: A push failed, or a host cannot fetch.
    """
    settings = context.settings
    names = tags(settings, images, release)
    if not settings.environment.hosts:
        return named_here(context, images, names)
    sources = {**images, **proxy(context)}
    called = pushed_as(settings, sources, release)
    if place := settings.environment.registry:
        with registry.login(context) as variables:
            pushed = registry.push(context, sources, called, place, variables)
        references = {key: f"{place}/{name}" for key, name in pushed.items()}
        ids = fetched(context, names, lambda _: contextlib.nullcontext(references), login=True)
        return Delivered(ids, {key: each for key, each in references.items() if key in names})
    with registry.temporary(context) as port:
        pushed = registry.push(context, sources, called, f"127.0.0.1:{port}")
        return Delivered(fetched(context, names, registry.through(port, pushed)))


def named_here(context: Context, images: Mapping[str, str], names: Mapping[str, str]) -> Delivered:
    """Give the images of this machine's engine the names by which an environment on it keeps them."""
    for service, name in names.items():
        runner.run(context, ["docker", "tag", images[service], name])
    return Delivered({each.name: dict(images) for each in machines.of(context)})


def fetched(
    context: Context,
    names: Mapping[str, str],
    references_for: Callable[[Machine], AbstractContextManager[Mapping[str, str]]],
    *,
    login: bool = False,
) -> dict[str, dict[str, str]]:
    """Let every host fetch images and name them; return by host the id of each.

    Args:
        context: Gives the deadline.
        names: What they are called there.
        references_for: Where a machine fetches each from, by digest; the proxy's may be among them.
        login: Whether this is the user's registry.
    """
    front = {haproxy.NAME: context.settings.environment.proxy_image}
    # One that a host has stays: another image by that name would start its proxy anew.
    has_front = {name for name, ids in there(context, front).items() if all(ids.values())}

    def bring(machine: Machine) -> dict[str, str]:
        tags = names if machine.name in has_front else {**names, **front}
        with references_for(machine) as given:
            references = {key: each for key, each in given.items() if key in tags}
            asked = {
                "references": references,
                "tags": {key: tags[key] for key in references},
                "login": registry.credentials(context) if login else None,
                "limit": context.deadline.remaining(),
            }
            found = machine.detached(context, "images.pull", asked)["ids"]
        return {key: found[key] for key in names}

    return machines.of(context).each(bring).complete()


def pushed_as(settings: Settings, services: Iterable[str], release: str) -> dict[str, str]:
    """Return what images are called in a registry; all environments share them."""
    front = settings.environment.proxy_image.rpartition("/")[2]
    named = {name: tag(settings.app.name, name, release).replace("/", "-") for name in services}
    if haproxy.NAME in named:
        named[haproxy.NAME] = front if ":" in front else f"{front}:latest"
    return named


def proxy(context: Context) -> dict[str, str]:
    """Return the proxy's image when this machine has it, for hosts that cannot fetch it; one by digest has no name."""
    image = context.settings.environment.proxy_image
    known = "@" not in image and context.settings.environment.hosts and _id(context, image)
    return {haproxy.NAME: image} if known else {}


def there(context: Context, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return by host the id of each image, empty for one that is missing."""

    def look(machine: Machine) -> dict[str, str]:
        known = machine.known.get("tags", {})
        if names.keys() == {key for key, name in names.items() if name in known}:
            return {key: known[name] for key, name in names.items()}
        found = machine.call(context, "images.there", {"tags": dict(names)}, reads=True)
        return dict(found["ids"])

    return machines.of(context).each(look).complete()


def untag(context: Context, release: releases.Release) -> None:
    """Remove the names of a release's images where they were built; an image goes with its last name."""
    for service in release.services:
        name = tag(context.settings.app.name, service, release.id)
        if _id(context, name):
            runner.run(context, ["docker", "rmi", name], check=False)
            context.note(f"removed {name}")


def _labelled(build: Mapping[str, Any] | str, release: str, commit: str) -> dict[str, Any]:
    given: dict[str, Any] = {"context": build} if isinstance(build, str) else dict(build)
    labels = {
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.version": release,
    }
    return {**given, "labels": {**(given.get("labels") or {}), **labels}}


def _names(context: Context, what: wanted.Wanted) -> dict[str, str]:
    """Return the image of each service that is switched or built, by the name that it has here."""
    settings = context.settings
    names = {name: tag(settings.app.name, name, what.release) for name in what.built}
    # Services often share an image that one of them builds.
    shared = {str(what.model.services[name].get("image")): names[name] for name in what.built}
    for name in settings.services:
        image = str(what.model.services[name].get("image", ""))
        names.setdefault(name, shared.get(image, image))
    return names


def _ids(context: Context, what: wanted.Wanted) -> dict[str, str]:
    names = _names(context, what)
    known = {image: _id(context, image) for image in sorted(set(names.values()))}
    return {name: known[image] for name, image in names.items()}


def _id(context: Context, image: str) -> str:
    argv = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    found = runner.run(context, argv, reads=True, check=False)
    return found.stdout.strip() if found.code == 0 else ""
