"""Where hosts fetch images from: the user's registry, or a temporary one beside the deployer.

One path for both: an image is pushed, its digest is what the registry answers, and the host pulls by that digest. A
temporary registry listens on this machine's 127.0.0.1, which every engine trusts without TLS; the hosts reach it
through the reverse forward of the SSH connection, at their own 127.0.0.1. What it stores stays for the week in a
volume: a push compresses only the layers that are new, which is most of its time.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Final

from ops.deploy.compose import fleet
from ops.hosts import http, runner
from ops.hosts.machine import Machine
from ops.kernel import files, guard
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, NotPermitted, StepFailed, TimeLimitReached

PORT: Final = 5000
"""Port that a registry listens on inside its container."""
_STORE: Final = "/images"
_READY_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 10.0
_POLL: Final = 0.05


def check(context: Context) -> None:
    """Find out before the first change that the user's registry does not answer, or not to us; without one: nothing.

    Raises:
        ConnectionFailed: It does not answer.
        NotPermitted: It does not know the user or the password.
    """
    settings = context.settings
    if not settings.environment.registry:
        return
    host = _host(settings.environment.registry)
    login = credentials(context)
    headers = {}
    if login is not None:
        both = f"{login['user']}:{login['password']}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(both).decode()}"}
    answer = _asked(host, headers)
    # One that hands out tokens answers 401 to everybody; whether it knows us shows at the login.
    if answer.status == 401 and login is not None and not _wants_token(answer):
        raise NotPermitted(
            f"registry {host} refuses the login",
            hint=f"check registry_user and registry_password of [environments.{settings.name}]",
        )


def credentials(context: Context) -> dict[str, str] | None:
    """Return the login to the user's registry; None when the engines are logged in, or it needs none."""
    chosen = context.settings.environment
    if not chosen.registry_user:
        return None
    return {
        "registry": _host(chosen.registry),
        "user": context.secrets.resolve(chosen.registry_user).get_secret_value(),
        "password": context.secrets.resolve(chosen.registry_password).get_secret_value(),
    }


@contextlib.contextmanager
def login(context: Context) -> Iterator[Mapping[str, str]]:
    """Log this machine's `docker` in for a block; give the variables with which it is.

    What Docker writes about it is private to the run and gone afterwards.

    Raises:
        StepFailed: The registry refuses.
    """
    known = credentials(context)
    if known is None:
        yield {}
        return
    with files.scratch("invops-login-") as folder:
        variables = {"DOCKER_CONFIG": str(folder)}
        words = ["docker", "login", "--username", known["user"], "--password-stdin"]
        password = known["password"].encode()
        argv = [*words, known["registry"]]
        result = runner.run(context, argv, environment=variables, input=password, check=False)
        if result.code != 0:
            why = "".join(result.stderr.strip().splitlines()[-1:])
            raise StepFailed(f"cannot log in to registry {known['registry']}", why=why)
        yield variables


@contextlib.contextmanager
def temporary(context: Context) -> Iterator[int]:
    """Run a registry on this machine's engine for a block and give its port.

    One that a killed run of the same environment left is removed.

    Raises:
        StepFailed: It does not start.
    """
    guard.effect("run a registry for images")
    owner = fleet.project(context.settings)
    label = f"invops.registry={owner}"
    argv = ["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}"]
    for left in runner.run(context, argv, reads=True).stdout.split():
        _remove(context, left)
    volume = _volume(context, label, owner)
    argv = ["docker", "run", "--detach", "--label", label, "--publish", f"127.0.0.1::{PORT}"]
    argv += ["--mount", f"type=volume,source={volume},target={_STORE},volume-label={label}"]
    argv += ["--env", f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={_STORE}"]
    image = context.settings.environment.registry_image
    container = runner.run(context, [*argv, image]).stdout.split()[-1]
    try:
        shown = runner.run(context, ["docker", "port", container, str(PORT)], reads=True).stdout
        port = int(shown.strip().rpartition(":")[2])
        _wait(context, port)
        yield port
    finally:
        _remove(dataclasses.replace(context, deadline=Deadline(_READY_SECONDS)), container)


def through(
    port: int, pushed: Mapping[str, str]
) -> Callable[[Machine], AbstractContextManager[Mapping[str, str]]]:
    """Return what gives the references by which a machine reaches a temporary registry.

    Args:
        port: Of the registry here.
        pushed: Name and digest of each image in it.
    """

    @contextlib.contextmanager
    def references(machine: Machine) -> Iterator[Mapping[str, str]]:
        with machine.expose(port) as there:
            yield {service: f"127.0.0.1:{there}/{name}" for service, name in pushed.items()}

    return references


def push(
    context: Context,
    images: Mapping[str, str],
    names: Mapping[str, str],
    place: str,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Push images and return where each is, by digest and without the host: "app-web@sha256:...".

    Args:
        context: Gives the deadline.
        images: Id or name of the image of each service here.
        names: What each is called there, with a tag.
        place: Registry, "127.0.0.1:49153" or "registry.example.org/shop".
        variables: Of a login.
    """
    found: dict[str, str] = {}
    for service, image in images.items():
        there = f"{place}/{names[service]}"
        runner.run(context, ["docker", "tag", image, there])
        try:
            runner.run(context, ["docker", "push", "--quiet", there], environment=variables)
            name = names[service].rpartition(":")[0]
            found[service] = f"{name}@{_digest(context, there, f'{place}/{name}')}"
        finally:
            runner.run(context, ["docker", "rmi", "--no-prune", there], check=False)
    return found


def _volume(context: Context, label: str, owner: str) -> str:
    """Return the name of this week's store; those of earlier weeks are removed, so it cannot grow without end."""
    name = f"invops-registry-{owner}-{time.strftime('%Gw%V')}"
    argv = ["docker", "volume", "ls", "--quiet", "--filter", f"label={label}"]
    for each in runner.run(context, argv, reads=True).stdout.split():
        if each != name:
            runner.run(context, ["docker", "volume", "rm", each], check=False)
    return name


def _host(place: str) -> str:
    """Return the host of a registry. A first word without dot and port is a name at Docker Hub, as Docker reads it."""
    first = place.partition("/")[0]
    named = "." in first or ":" in first or first == "localhost"
    return first if named else "docker.io"


def _asked(host: str, headers: Mapping[str, str]) -> http.Answer:
    """Ask for the version of the registry's API, with TLS unless Docker itself would do without it."""
    name = "registry-1.docker.io" if host == "docker.io" else host
    here = host.partition(":")[0] in ("localhost", "127.0.0.1")
    schemes = ("http", "https") if here else ("https", "http")
    wrong: list[str] = []
    for scheme in schemes:
        try:
            return http.get(f"{scheme}://{name}/v2/", timeout=_ANSWER_SECONDS, headers=headers)
        except ConnectionFailed as error:
            wrong.append(error.why)
        # A password goes out without TLS only to this machine.
        if headers and not here:
            break
    raise ConnectionFailed(
        f"registry {host} does not answer", why=wrong[0], hint=f"curl -i https://{name}/v2/"
    )


def _wants_token(answer: http.Answer) -> bool:
    return answer.headers.get("www-authenticate", "").lower().startswith("bearer")


def _remove(context: Context, container: str) -> None:
    # A slow engine is no reason to fail: what is left is removed by the next deploy.
    with contextlib.suppress(TimeLimitReached):
        runner.run(context, ["docker", "rm", "--force", "--volumes", container], check=False)


def _digest(context: Context, there: str, name: str) -> str:
    argv = ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", there]
    digests = json.loads(runner.run(context, argv, reads=True).stdout)
    for each in digests:
        if each.startswith(f"{name}@"):
            return str(each.partition("@")[2])
    raise StepFailed(f"the registry gave no digest for {there}", why=f"it has {digests}")


def _wait(context: Context, port: int) -> None:
    deadline = Deadline(min(_READY_SECONDS, context.deadline.remaining()))
    while why := _lacks(port):
        if deadline.remaining() <= 0:
            raise StepFailed("the temporary registry does not answer", why=why)
        context.deadline.check("waiting for the temporary registry")
        time.sleep(_POLL)


def _lacks(port: int) -> str:
    try:
        status = http.get(f"http://127.0.0.1:{port}/v2/", timeout=2.0).status
    except ConnectionFailed as error:
        return error.why
    return "" if status == 200 else f"it answers with status {status}"
