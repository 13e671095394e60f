"""What `inv deploy.check` looks at for containers: the engine here, the registry, and every host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ops.deploy import check, finding, git
from ops.deploy.compose import fleet, haproxy, images, presence, survey, wanted
from ops.deploy.compose.survey import Survey
from ops.deploy.compose.wanted import Wanted
from ops.deploy.finding import HERE, Finding
from ops.hosts import http, leases, runner
from ops.kernel import exits, files
from ops.kernel.context import Context
from ops.kernel.errors import ConnectionFailed, OpsError

_ANSWERS: Final = (200, 401)
"""What a registry says to who is not logged in. Source: OCI distribution specification, "Determining support"."""


def here(context: Context) -> Iterator[Finding]:
    """Space, the engine that builds, Compose, and the Compose file as the next release has it."""
    yield presence.here(context.settings)
    engine = _version(context, ["docker", "version", "--format", "{{.Server.Version}}"])
    yield survey.tool(HERE, "engine", engine, survey.OLDEST_ENGINE)
    compose = _version(context, ["docker", "compose", "version", "--short"])
    yield survey.tool(HERE, "Compose", compose, survey.OLDEST_COMPOSE)
    if not compose["version"]:
        return
    what = _next(context)
    words = (
        f"{len(what.model.services)} services, {', '.join(sorted(what.settings.services))} switched"
    )
    yield finding.ok(HERE, "Compose file", words)
    if what.built:
        yield survey.tool(
            HERE, "buildx", _version(context, ["docker", "buildx", "version"]), (0, 0)
        )


def registry(context: Context) -> Iterator[Finding]:
    """Whether images can go through the registry, or through a temporary one."""
    chosen = context.settings.environment
    if chosen.registry:
        host = chosen.registry.partition("/")[0]
        plain = host.partition(":")[0] in ("localhost", "127.0.0.1")
        try:
            status = http.get(f"{'http' if plain else 'https'}://{host}/v2/", timeout=5.0).status
        except ConnectionFailed as error:
            hint = f"look at registry in ops.toml, and log in: docker login {host}"
            yield Finding(HERE, "registry", "wrong", str(error), hint, error.exit_code)
            return
        if status in _ANSWERS:
            yield finding.ok(HERE, "registry", f"{host} answers")
        else:
            words = f"{host} answers with status {status}, it is no registry"
            yield Finding(
                HERE,
                "registry",
                "wrong",
                words,
                "look at registry in ops.toml",
                exits.CONFIGURATION,
            )
    elif chosen.hosts:
        yield _image_here(context, chosen.registry_image)


def hosts(context: Context) -> Iterator[Finding]:
    """Every host: tools, space, clock, lock, proxy, what serves; then the migrations that come."""
    settings = context.settings
    front, others = settings.environment.proxy_image, _not_switched(context)
    found = survey.ask(context, {haproxy.NAME: front, **others})
    down = {name: e for name, e in found.failed.items() if isinstance(e, ConnectionFailed)}
    allowed = len(down) <= settings.environment.allow_down and bool(found.done)
    for name, error in found.failed.items():
        told = finding.of_error(name, "answers", error)
        if name in down and allowed:
            told = finding.warning(name, "answers", f"{told.found}; it is left out (allow_down)")
        yield told
    brought = bool(images.proxy(context))
    for each in found.done.values():
        yield from survey.findings(settings, each)
        yield from _lock(each)
        yield _image(each, haproxy.NAME, front, "proxy_image in ops.toml", brought=brought)
        for service, image in others.items():
            yield _image(each, service, image, "another one in the Compose file")
        yield from _health(each)
    if observed := {each.name: each.observed for each in found.done.values() if each.observed}:
        now = fleet.of(observed)
        yield from check.migrations(context, now.release, now.commit or "")


def _next(context: Context) -> Wanted:
    """Return what the next release would be."""
    revision = git.resolve(context, "")
    with files.scratch("invops-check-") as folder:
        git.export(context, revision.tree, revision.dirty, folder / "all", whole=True)
        return wanted.read(context, folder / "all", revision.release)


def _not_switched(context: Context) -> dict[str, str]:
    """Return the image of each service that hosts start beside the slots; none when `here` says what is wrong."""
    try:
        what = _next(context)
    except OpsError:
        return {}
    every = what.model.services.items()
    return {
        name: str(each["image"])
        for name, each in every
        if name not in context.settings.services and name not in what.built and "image" in each
    }


def _version(context: Context, argv: list[str]) -> dict[str, str]:
    """Return `version` of a tool here, or `why` there is none; as a host's agent tells it."""
    try:
        ran = runner.run(context.within(10), argv, reads=True, check=False)
    except OpsError as error:
        return {"version": "", "why": str(error)}
    words = (ran.stdout if ran.code == 0 else ran.stderr or ran.stdout).strip().splitlines()
    last = words[-1] if words else f"exit code {ran.code}"
    return (
        {"version": last.split()[-1], "why": ""} if ran.code == 0 else {"version": "", "why": last}
    )


def _image_here(context: Context, image: str) -> Finding:
    argv = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    try:
        if runner.run(context, argv, reads=True, check=False).code == 0:
            return finding.ok(HERE, "registry", f"a temporary one, {image} is here")
        runner.run(context.within(15), ["docker", "manifest", "inspect", image], reads=True)
    except OpsError as error:
        why = f"{image} is not here and cannot be fetched: {error.why.splitlines()[-1] if error.why else error}"
        return Finding(HERE, "registry", "wrong", why, f"docker pull {image}", exits.CONNECTION)
    return finding.ok(HERE, "registry", f"a temporary one, {image} is fetched by the deploy")


def _image(
    host: Survey, service: str, image: str, instead: str, *, brought: bool = False
) -> Finding:
    """Return whether a host has an image that is no part of the release, or gets it."""
    check = "proxy image" if service == haproxy.NAME else f"image of {service}"
    told = host.images[service]
    if told["here"]:
        return finding.ok(host.name, check, image)
    if brought:
        return finding.ok(host.name, check, f"{image} is brought from here by the deploy")
    if not told["why"]:
        return finding.ok(host.name, check, f"{image} is fetched by the deploy")
    why = f"{image} is not there and cannot be fetched: {told['why'].splitlines()[-1]}"
    hint = f"on the host: docker pull {image}; or {instead}"
    return Finding(host.name, check, "wrong", why, hint, exits.CONNECTION)


def _lock(host: Survey) -> Iterator[Finding]:
    if host.holder is None:
        yield finding.ok(host.name, "lock", "free")
        return
    holder = leases.LeaseHolder(**host.holder)
    who = f"{holder.owner} ({holder.task}, process {holder.pid} on {holder.host})"
    if holder.alive:
        yield Finding(host.name, "lock", "wrong", f"held by {who}", "wait with --wait")
    else:
        yield finding.ok(host.name, "lock", f"left by {who}, which is gone: it is taken over")


def _release(host: Survey) -> str:
    now = host.observed or {}
    return str((now.get("slots") or {}).get(now.get("serving"), {}).get("release", ""))


def _health(host: Survey) -> Iterator[Finding]:
    """Yield what serves, and what of it is not well: a deploy may be what mends it, so it stops none."""
    now: Mapping[str, Any] = host.observed or {}
    if not now.get("document"):
        if now:
            yield finding.ok(host.name, "serves", "nothing yet")
        return
    if now["proxy"] is None:
        hint = "inv deploy starts it; why it ended: inv logs --service invops-proxy"
        yield finding.warning(host.name, "proxy", "does not answer", hint)
        return
    yield finding.ok(
        host.name, "serves", f"{_release(host) or 'nothing'} from slot {now['serving'] or 'none'}"
    )
    for each in now["containers"]:
        mine = each["slot"] in ("", now["serving"])
        state = each["health"] if each["health"] == "unhealthy" else each["state"]
        completed = each["state"] == "exited" and each["exit_code"] == 0 and not each["slot"]
        if mine and state != "running" and not completed:
            hint = f"inv logs --service {each['service']}"
            yield finding.warning(host.name, each["service"], f"{each['name']} is {state}", hint)
