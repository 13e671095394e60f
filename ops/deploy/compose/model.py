"""The user's Compose file, as `docker compose config` resolves it.

Compose itself reads the files: several of them, variables, `extends`, anchors, profiles, env files. What it prints is a
whole document with `$` escaped again, so that it means the same when a host reads it. Services stay the mappings that
they are: nothing here knows the schema of Compose but the few keys that are asked for.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.hosts import runner
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError
from ops.kernel.settings.faults import did_you_mean

Service = Mapping[str, Any]
_UNSET: Final = re.compile(r'The \\?"(\w+)\\?" variable is not set')
_MISSING_FILE: Final = re.compile(r"env file .* not found|no such file or directory")
_UNTRACKED: Final = "a release has what git tracks: git add it, or correct the Compose file"
_EVERY: Final = ("--profile", "*")


@dataclass(frozen=True)
class Model:
    """A resolved Compose file.

    Args:
        document: All of it: services, networks, volumes, secrets, configs.
        folder: The project's folder, which its paths begin with.
    """

    document: Mapping[str, Any]
    folder: Path

    @property
    def project(self) -> str:
        """Name of the Compose project."""
        return str(self.document["name"])

    @property
    def services(self) -> Mapping[str, Service]:
        """Services by name."""
        return self.section("services")

    def section(self, name: str) -> Mapping[str, Any]:
        """Return `services`, `networks`, `volumes`, `secrets` or `configs` by name; empty where there is none."""
        return self.document.get(name) or {}

    def moved(self, folder: Path) -> Model:
        """Return it as Compose would resolve the same files in another folder."""
        now, then = (json.dumps(str(each))[1:-1] for each in (self.folder, folder.resolve()))
        return Model(json.loads(json.dumps(self.document).replace(now, then)), folder.resolve())


def read(
    context: Context,
    folder: Path,
    *,
    project: str,
    files: Sequence[Path] = (),
    profiles: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    switched: Sequence[str] = (),
    top: Path | None = None,
) -> Model:
    """Read the Compose file of a release.

    Args:
        context: Gives the deadline.
        folder: Where Compose looks: the application's folder of the release.
        project: Name of the Compose project on the hosts.
        files: Compose files relative to `folder`; what Compose finds there when empty.
        profiles: Whose services run as well.
        variables: For `${NAME}` in the file, with secrets.
        switched: Services of ops.toml, which the file must have.
        top: Folder of all that travels with a release, when it is not `folder`.

    Raises:
        ConfigurationError: The file is invalid, or lacks a service or a profile.
        DependencyError: Docker or Compose is missing here.
    """
    asked = _Asked(context, folder, project, files, variables or {})
    if profiles:
        _check_profiles(asked.lines(*_EVERY, "config", "--profiles"), profiles)
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    document = asked.document(*chosen)
    found = Model(document, (top or folder).resolve())
    for name in switched:
        if name not in found.services:
            raise _missing(asked, name, found)
        if not (found.services[name].get("image") or found.services[name].get("build")):
            raise ConfigurationError(
                f"service {name} of the Compose file has neither image nor build"
            )
    for name, service in found.services.items():
        if service.get("build"):
            _check_build(name, service["build"])
    return found


@dataclass(frozen=True)
class _Asked:
    """`docker compose` about one file; it starts nothing and needs no engine."""

    context: Context
    folder: Path
    project: str
    files: Sequence[Path]
    variables: Mapping[str, str]

    def document(self, *profiles: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            self._run(*profiles, "config", "--format", "json").stdout
        )
        return document

    def lines(self, *arguments: str) -> list[str]:
        return self._run(*arguments).stdout.split()

    def _run(self, *arguments: str) -> runner.Result:
        files = [word for path in self.files for word in ("-f", str(path))]
        command = ["docker", "compose", "-p", self.project, *files, *arguments]
        # The output has values: it goes nowhere but into the model.
        result = runner.run(
            dataclasses.replace(self.context, output=lambda _: None),
            command,
            reads=True,
            cwd=self.folder,
            environment=self.variables,
            check=False,
        )
        if result.code == 0:
            _refuse_unset(result.stderr)
            return result
        why = _reason(result.stderr)
        if "unknown command: docker compose" in why or "is not a docker command" in why:
            raise DependencyError(
                "Docker Compose is missing", hint="apt-get install docker-compose"
            )
        raise ConfigurationError(
            "the Compose file cannot be used",
            why=why.replace(f"{self.folder.resolve()}/", ""),
            hint=(
                _UNTRACKED
                if _MISSING_FILE.search(why)
                else f"try it: {' '.join(['docker', 'compose', *files, 'config', '-q'])}"
            ),
        )


def _refuse_unset(stderr: str) -> None:
    """Refuse variables that Compose takes as empty: nobody means that, and what runs then is a surprise."""
    names = list(dict.fromkeys(_UNSET.findall(stderr)))
    if names:
        raise ConfigurationError(
            f"the Compose file uses {', '.join(names)}, which {'is' if len(names) == 1 else 'are'} not set",
            why="Compose would take it as empty; a release has no .env that git does not track",
            hint=f'environment = {{ {names[0]} = "..." }} (or secrets) of the environment in ops.toml, '
            f"or ${{{names[0]}:-}} in the Compose file when empty is meant",
        )


def _check_build(name: str, build: Mapping[str, Any] | str) -> None:
    """Refuse a build whose folder or Dockerfile is not in the release; Compose looks for them only when it builds."""
    given = {"context": build} if isinstance(build, str) else build
    context = Path(str(given.get("context") or ".").replace("$$", "$"))
    if not context.is_absolute():  # a repository or an archive somewhere else
        return
    dockerfile = str(given.get("dockerfile") or "Dockerfile").replace("$$", "$")
    wanted = [context] if given.get("dockerfile_inline") else [context, context / dockerfile]
    for path in wanted:
        if not path.exists():
            raise ConfigurationError(
                f"service {name} of the Compose file is built from what the release does not have: "
                f"{path.name}",
                hint=_UNTRACKED,
            )


def _reason(stderr: str) -> str:
    """Return what Compose said, in one line, without its warnings."""
    lines = [line for line in stderr.splitlines() if line and not line.startswith("time=")]
    return "; ".join(lines[-3:]) or "docker compose said nothing"


def _check_profiles(known: Sequence[str], wanted: Sequence[str]) -> None:
    for profile in wanted:
        if profile not in known:
            there = f"there is only {', '.join(known)}" if known else "there is none"
            raise ConfigurationError(
                f"no service of the Compose file has profile {profile!r}",
                why=f"{there}{did_you_mean(profile, known)}",
                hint="correct compose.profiles in ops.toml",
            )


def _missing(asked: _Asked, name: str, found: Model) -> ConfigurationError:
    every = asked.document(*_EVERY)["services"]
    what = f"the Compose file has no service {name}, which ops.toml names"
    if name in every:
        profiles = ", ".join(every[name].get("profiles", []))
        return ConfigurationError(
            what.replace("has no", "does not run"),
            why=f"it belongs to profile {profiles}",
            hint="add the profile to compose.profiles in ops.toml",
        )
    return ConfigurationError(
        what,
        why=f"it has {', '.join(sorted(found.services))}{did_you_mean(name, list(found.services))}",
        hint=f"correct [services.{name}] in ops.toml",
    )
