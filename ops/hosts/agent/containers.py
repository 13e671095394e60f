"""Docker and Compose on the host: commands with a time limit, answers as JSON."""

from __future__ import annotations

import calendar
import hashlib
import json
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, engine
from ops.hosts.agent.errors import Refused

QUICK_SECONDS = 30.0
"""How long a question may take; Docker answers within milliseconds unless its disk or itself is stuck."""
LOG_LINES = 20
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
FOLDER = "com.docker.compose.project.working_dir"
HASH = "com.docker.compose.config-hash"
RELEASE = "invops.release"
SLOT = "invops.slot"
_GONE = ("No such container", "No such object", "is already in progress")


@dataclass(frozen=True)
class Container:
    """A container of the environment.

    Args:
        id: Its id.
        name: Its name.
        service: Service of the Compose document.
        slot: Its slot, empty for one that is not switched.
        release: Release in it, empty for one that is not switched.
        image: Id of its image.
        state: `running`, `restarting`, `exited`, `created`, `paused`, `dead`.
        health: `healthy`, `unhealthy`, `starting`; empty without a health check.
        restarts: How often it was started again after a crash.
        exit_code: Of the last end.
        config: Hash of the definition that it was made from.
        addresses: In its networks.
        started: When, as Docker writes it.
        folder: Where the document lies that it was made from.
    """

    id: str
    name: str
    service: str
    slot: str
    release: str
    image: str
    state: str
    health: str
    restarts: int
    exit_code: int
    config: str
    addresses: tuple[str, ...]
    started: str
    folder: str

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        moment = calendar.timegm(time.strptime(self.started[:19], "%Y-%m-%dT%H:%M:%S"))
        return time.time() - moment - float(f"0{self.started[19:].rstrip('Z') or '.0'}")

    @property
    def completed(self) -> bool:
        """Whether it was to run once, and did."""
        return self.state == "exited" and self.exit_code == 0


def run(arguments: Sequence[str], seconds: float, *, check: bool = True, given: str = "") -> str:
    """Run `docker` and return its standard output.

    Args:
        arguments: Without secrets.
        seconds: Time limit.
        check: Whether an error is one.
        given: Its standard input.

    Raises:
        Refused: Docker is missing, takes too long, or says no; with its last lines.
    """
    shown = f"docker {' '.join(arguments[:6])}"
    try:
        done = subprocess.run(
            ["docker", *arguments],
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=max(0.1, seconds),
            check=False,
        )
    except FileNotFoundError:
        raise Refused(
            "missing", "docker is not installed", hint="inv setup.server installs it"
        ) from None
    except subprocess.TimeoutExpired:
        raise Refused("failed", f"no answer within {seconds:.0f} s: {shown}") from None
    if check and done.returncode != 0:
        raise _translated(shown, done.stderr or done.stdout)
    return done.stdout


def project(name: str) -> list[Container]:
    """Return all containers of a Compose project, running or not, without those of `docker compose run`."""
    return made_of(raw_project(name))


def raw_project(name: str) -> list[dict[str, Any]]:
    """Return what `docker inspect` says of the containers of a Compose project; it holds the values of variables."""
    labels = (f"{PROJECT}={name}", "com.docker.compose.oneoff=False")
    found = engine.labelled(labels, QUICK_SECONDS)
    if found is not None:
        return found
    wanted = [word for label in labels for word in ("--filter", f"label={label}")]
    return raw(run(["ps", "-aq", "--no-trunc", *wanted], QUICK_SECONDS).split())


def inspected(ids: Sequence[str]) -> list[Container]:
    """Return the containers of these ids; one that is gone meanwhile is left out."""
    return made_of(raw(ids))


def made_of(found: Sequence[dict[str, Any]]) -> list[Container]:
    """Return containers from what `docker inspect` says of them."""
    return [_container(each) for each in found]


def raw(ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what `docker inspect` says; it holds the values of variables."""
    if not ids:
        return []
    answered = engine.inspected(ids, QUICK_SECONDS)
    if answered is not None:
        return answered
    found: list[dict[str, Any]] = json.loads(
        run(["inspect", "--type", "container", *ids], QUICK_SECONDS, check=False) or "[]"
    )
    return found


def up(model: Path, services: Sequence[str], seconds: float, *, alone: bool) -> None:
    """Make and start services as the document says; those that run so already stay untouched.

    Args:
        model: The Compose document.
        services: Their names.
        seconds: Time limit.
        alone: Leave the services alone that they depend on.
    """
    options = ["--detach", "--no-build", "--quiet-pull", *(["--no-deps"] if alone else [])]
    compose(model, ["up", *options, *services], seconds)


def hashes(model: Path, *, keep: bool = False) -> dict[str, str]:
    """Return the hash of each service's definition, as Compose writes it into the label `HASH`.

    Args:
        model: The Compose document.
        keep: Write them beside it, so that nobody asks Compose again while the document stays as it is.
    """
    text, beside = model.read_text("utf-8"), model.with_name("hashes.json")
    known = base.read(beside)
    of = hashlib.sha256(text.encode()).hexdigest()
    if known.get("of") == of:
        return dict(known["hashes"])
    document = json.loads(text)
    for each in document["services"].values():
        # They start with --no-deps, which is not hashed then.
        if SLOT in (each.get("labels") or {}):
            each.pop("depends_on", None)
    where = ["-f", "-", "--project-directory", str(model.parent)]
    told = run(
        ["compose", *where, "config", "--hash", "*"], QUICK_SECONDS, given=json.dumps(document)
    )
    found = dict(line.split(maxsplit=1) for line in told.splitlines() if line.strip())
    if keep:
        base.write(beside, json.dumps({"of": of, "hashes": found}))
    return found


def compose(model: Path, arguments: Sequence[str], seconds: float) -> str:
    """Run `docker compose` on a document."""
    return run(
        ["compose", "-f", str(model), "--project-directory", str(model.parent), *arguments], seconds
    )


def start(ids: Sequence[str]) -> None:
    """Start containers that are stopped."""
    if ids:
        run(["start", *ids], QUICK_SECONDS)


def stop(ids: Sequence[str], seconds: float) -> None:
    """Stop containers, each within the time that its own definition gives it."""
    if ids:
        run(["stop", *ids], seconds)


def remove(ids: Sequence[str]) -> None:
    """Remove containers, running or not, all at once; one that is gone already is fine."""
    if ids:
        with ThreadPoolExecutor(max_workers=len(ids)) as pool:
            list(pool.map(_remove, ids))


def _remove(container: str) -> None:
    try:
        run(["rm", "--force", container], QUICK_SECONDS)
    except Refused as refused:
        if not any(word in refused.why for word in _GONE):
            raise


def logs(container: str, lines: int = LOG_LINES, *, times: bool = False) -> str:
    """Return the last lines that a container wrote."""
    moments = ["--timestamps"] if times else []
    command = ["docker", "logs", "--tail", str(lines), *moments, container]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=QUICK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "(its log cannot be read)"
    return done.stdout.strip()


def _translated(shown: str, output: str) -> Refused:
    lines = [line for line in output.strip().splitlines() if line and not line.startswith("time=")]
    why = "\n".join(lines[-5:])
    if "permission denied" in why and "docker.sock" in why:
        return Refused(
            "permission",
            "may not use Docker",
            why,
            "add the user to group docker: inv setup.server",
        )
    if "Cannot connect to the Docker daemon" in why:
        return Refused("failed", "Docker's engine does not answer", why, "systemctl status docker")
    if "unknown command: docker compose" in why or "is not a docker command" in why:
        return Refused(
            "missing", "Docker Compose is not installed", why, "inv setup.server installs it"
        )
    return Refused("failed", f"failed: {shown}", why)


def _container(found: dict[str, Any]) -> Container:
    labels, state = found["Config"]["Labels"] or {}, found["State"]
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        service=labels.get(SERVICE, ""),
        slot=labels.get(SLOT, ""),
        release=labels.get(RELEASE, ""),
        image=found["Image"],
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        restarts=found.get("RestartCount", 0),
        exit_code=state.get("ExitCode", 0),
        config=labels.get(HASH, ""),
        addresses=tuple(each["IPAddress"] for each in networks.values() if each.get("IPAddress")),
        started=state.get("StartedAt", ""),
        folder=labels.get(FOLDER, ""),
    )
