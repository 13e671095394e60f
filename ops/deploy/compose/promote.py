"""Images that another environment has proved, deployed as they are: what runs there runs here, and nothing is built."""

from __future__ import annotations

import contextlib

from ops.deploy import policy
from ops.deploy.compose import fleet, images, registry
from ops.deploy.compose.images import Delivered
from ops.hosts import machines
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import StepFailed
from ops.kernel.steps import Done, step


def _are_there(context: Context, release: str, environment: str) -> Done | None:
    kept = fleet.observe(policy.at(context, environment)).hosts[0].releases.get(release)
    if kept is None:
        return None
    done = images.delivered(context, release, kept.images)
    if done is None:
        return None
    return Done(done.note, Delivered(done.result.ids, dict(kept.references)))


@step(
    title="Bring the images of {release} from {environment} to the hosts",
    limit=minutes(15),
    check=_are_there,
    interruptible=True,
)
def promote(context: Context, release: str, environment: str) -> Delivered:
    """Let every host fetch the images by digest: from the registry that both use, else from a host of the other one.

    Raises:
        StepFailed: The release or an image of it is not there any more, or a host cannot fetch.
    """
    source = policy.at(context, environment)
    first = fleet.observe(source).hosts[0]
    kept = first.releases.get(release)
    if kept is None:
        raise StepFailed(
            f"{first.name} does not keep release {release} any more",
            hint=f"inv releases --env {environment}",
        )
    names = images.tags(context.settings, kept.images, release)
    if not (context.settings.environment.hosts or source.settings.environment.hosts):
        return images.named_here(context, kept.images, names)
    shared = context.settings.environment.registry
    known = kept.references.keys() >= kept.images.keys()
    if shared and known and shared == source.settings.environment.registry:
        references = dict(kept.references)
        ids = images.fetched(
            context, names, lambda _: contextlib.nullcontext(references), login=True
        )
        return Delivered(ids, references)
    called = images.pushed_as(context.settings, kept.images, release)
    machine = machines.of(source)[first.name]
    with registry.temporary(context) as port:
        with machine.expose(port) as there:
            asked = {
                "images": dict(kept.images),
                "names": called,
                "place": f"127.0.0.1:{there}",
                "limit": context.deadline.remaining(),
            }
            pushed = machine.detached(context, "images.push", asked)["pushed"]
        front = images.proxy(context)
        if front:
            named = images.pushed_as(context.settings, front, release)
            pushed |= registry.push(context, front, named, f"127.0.0.1:{port}")
        return Delivered(images.fetched(context, names, registry.through(port, pushed)))
