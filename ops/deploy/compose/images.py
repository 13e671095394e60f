"""Images of a release: built once, named by what is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.deploy import releases
from ops.deploy.compose import wanted
from ops.hosts import runner
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
    folder = releases.folder(context.settings, release) / "app"
    if not folder.is_dir():
        return None
    found = _ids(context, wanted.read(context, folder, release))
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
    what = wanted.read(context, releases.folder(settings, release) / "app", release)
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
    for name, image in _names(context, what).items():
        if not _id(context, image):
            context.note(f"pull {image} for {name}")
            runner.run(context, ["docker", "pull", "--quiet", image])
    found = _ids(context, what)
    if missing := sorted(name for name, id in found.items() if not id):
        raise StepFailed(f"no image of {', '.join(missing)} was built")
    return Built(found)


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
    return {name: _id(context, image) for name, image in _names(context, what).items()}


def _id(context: Context, image: str) -> str:
    argv = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    found = runner.run(context, argv, reads=True, check=False)
    return found.stdout.strip() if found.code == 0 else ""
