"""Images of a release: built once, named by what is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.deploy import releases
from ops.deploy.compose import fleet, registry, wanted
from ops.hosts import machines, runner
from ops.hosts.machine import Machine
from ops.hosts.machines import Machines
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import StepFailed
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Built:
    """The images of a release.

    Args:
        ids: Id of the image of each service: the hash of its content.
    """

    ids: dict[str, str]


def tag(app: str, service: str, release: str) -> str:
    """Return the name that an image has where it was built."""
    return f"invops/{app}-{service}:{release.replace('+', '-')}"


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
            runner.run(context, ["docker", "pull", "--quiet", image])
            found[name] = _id(context, image)
    if missing := sorted(name for name, id in found.items() if not id):
        raise StepFailed(f"no image of {', '.join(missing)} was built")
    return Built(found)


@dataclass(frozen=True)
class Delivered:
    """The images of a release on the hosts.

    Args:
        ids: By host: id of the image of each service there.
    """

    ids: dict[str, dict[str, str]]


def _are_there(context: Context, release: str, images: dict[str, str]) -> Done | None:
    """Say whether every host has all images; the engine that built them has."""
    every = machines.of(context)
    if not context.settings.environment.hosts:
        return Done("built where they run", Delivered({each.name: images for each in every}))
    tags = _tags(context, release, images)
    found = {name: each["ids"] for name, each in _there(context, every, tags).items()}
    complete = all(all(ids.values()) for ids in found.values())
    return Done("there already", Delivered(found)) if complete else None


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
    settings, every = context.settings, machines.of(context)
    tags = _tags(context, release, images)
    for service, tag_ in tags.items():
        runner.run(context, ["docker", "tag", images[service], tag_])
    if settings.environment.registry:
        place = settings.environment.registry
        pushed = registry.push(context, tags, place)
        return _pulled(
            context, tags, {service: f"{place}/{name}" for service, name in pushed.items()}
        )
    with registry.temporary(
        context, settings.environment.registry_image, fleet.project(settings)
    ) as port:
        pushed = registry.push(context, tags, f"127.0.0.1:{port}")

        def bring(machine: Machine) -> dict[str, str]:
            with machine.expose(port) as there:
                references = {
                    service: f"127.0.0.1:{there}/{name}" for service, name in pushed.items()
                }
                return _pull(context, machine, tags, references)

        return Delivered(every.each(bring).complete())


def _pulled(context: Context, tags: Mapping[str, str], references: Mapping[str, str]) -> Delivered:
    every = machines.of(context)
    return Delivered(every.each(lambda one: _pull(context, one, tags, references)).complete())


def _pull(
    context: Context, machine: Machine, tags: Mapping[str, str], references: Mapping[str, str]
) -> dict[str, str]:
    limit = context.deadline.remaining()
    arguments = {"references": dict(references), "tags": dict(tags), "limit": limit}
    found: dict[str, str] = machine.detached(context, "images.pull", arguments)["ids"]
    return found


def _tags(context: Context, release: str, images: Mapping[str, str]) -> dict[str, str]:
    return {name: tag(context.settings.app.name, name, release) for name in images}


def _there(context: Context, every: Machines, tags: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    asked = {"tags": dict(tags)}
    return every.each(lambda one: one.call(context, "images.there", asked, reads=True)).complete()


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
