"""Compose files as people write them: read by Compose, derived, and read by Compose again as a host does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ops.deploy.compose import files, haproxy, model
from ops.deploy.compose.derived import Content, Derived, derive, slot_of
from ops.deploy.compose.model import Model
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.settings.models import Service
from tests.support.docker.engine import plugins

DATA = Path(__file__).parent / "data" / "compose"
CONTEXT = Context(settings=None, secrets=None, deadline=Deadline(86_400))  # type: ignore[arg-type]
WEB = Service(container=8000, health="/health")
WORKER = Service()
SECRET = "Sup3r$ecret"  # with what Compose would take for a variable
BASE = "/var/lib/invops/shop-prod$1"


@dataclass(frozen=True)
class Case:
    """A Compose file and what is said about it in ops.toml."""

    name: str
    services: Mapping[str, Service]
    files: tuple[Path, ...] = ()
    profiles: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


CASES = [
    Case("nginx_backend", {"nginx": Service(container=80), "backend": WEB}),
    Case("nginx_backend", {"backend": WEB}),
    Case("profiles", {"backend": WEB, "worker": WORKER}, profiles=("workers",)),
    Case("profiles", {"backend": WEB}),
    Case("extends", {"backend": WEB, "worker": WORKER}),
    Case("several", {"backend": WEB}, (Path("compose.yaml"), Path("compose.prod.yaml"))),
    Case("secrets", {"backend": WEB}, variables={"API_TOKEN": SECRET}),
    Case("networks", {"backend": WEB, "worker": WORKER}),
    Case(
        "interpolation", {"backend": WEB}, variables={"REGISTRY": "r.example", "PASSWORD": SECRET}
    ),
    Case("legacy", {"backend": WEB, "worker": WORKER}),
    Case("replicas", {"backend": WEB, "worker": WORKER}),
    Case("swarm", {"backend": WEB}),
    Case("build_only", {"backend": WEB, "worker": WORKER}),
    Case("bound", {"backend": WEB}),
    Case("include", {"backend": WEB}),
    Case("anchors", {"web": WEB, "worker": WORKER}),
]
IDS = [f"{case.name}-{'-'.join(case.services)}" for case in CASES]


@pytest.fixture(autouse=True, scope="module")
def _compose() -> None:
    plugins("compose")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder as that of a release."""
    return tmp_path / "releases" / "r1" / "app"


def read(case: Case, place: Path) -> Model:
    if not place.exists():
        shutil.copytree(DATA / case.name, place)
    return model.read(
        CONTEXT,
        place,
        project="shop-prod",
        files=case.files,
        profiles=case.profiles,
        variables=case.variables,
        switched=list(case.services),
    )


def made(
    case: Case, found: Model, slot: str, release: str, present: Mapping[str, Any] | None = None
) -> Derived:
    image = f"sha256:{release.encode().hex():0<64}"
    images = {name: image for name, each in found.services.items() if each.get("build")}
    images |= dict.fromkeys(case.services, image)
    return derive(
        found,
        case.services,
        Content(release, slot, images, {name: {"TOKEN": SECRET} for name in case.services}),
        front=haproxy.Front("haproxy:2.8", 8080),
        placed=files.place(found, case.variables),
        base=BASE,
        present=present,
    )


def on_host(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what Compose reads there: no variables, no files of the repository."""
    found: dict[str, Any] = json.loads(compose(document, folder, "config", "--format", "json"))
    return found


def compose(document: Mapping[str, Any], folder: Path, *arguments: str) -> str:
    path = folder / "model.json"
    path.write_text(json.dumps(document))
    ran = subprocess.run(
        ["docker", "compose", "-f", str(path), *arguments],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "variable is not set" not in ran.stderr
    return ran.stdout


def hashes(document: Mapping[str, Any], folder: Path) -> dict[str, str]:
    lines = compose(document, folder, "config", "--hash", "*").splitlines()
    return dict(line.split() for line in lines)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_real_files_are_read_the_same_on_the_host(case: Case, place: Path, tmp_path: Path) -> None:
    found = read(case, place)
    document = made(case, found, "blue", "r1").document

    there = on_host(document, tmp_path)["services"]

    assert set(there) == {
        *(name for name in found.services if name not in case.services),
        *(f"{name}-blue" for name in case.services),
        haproxy.NAME,
    }
    for name in case.services:
        environment = there[f"{name}-blue"].get("environment", {})
        assert environment["TOKEN"] == SECRET.replace("$", "$$")  # as Compose prints it
    text = json.dumps(document)
    assert str(place) not in text, "a path of the deployer"


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_next_release_changes_nothing_but_its_own_slot(
    case: Case, place: Path, tmp_path: Path
) -> None:
    found = read(case, place)
    first = made(case, found, "blue", "r1")

    second = made(case, found, "green", "r2", first.document)

    before, after = first.document["services"], second.document["services"]
    for name, each in before.items():
        if slot_of(each) == "blue":
            assert json.dumps(after[name]) == json.dumps(each)
    built = {name for name, each in found.services.items() if each.get("build")}
    same = {name for name, each in before.items() if not slot_of(each)} - built
    old, new = hashes(first.document, tmp_path), hashes(second.document, tmp_path)
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert set(second.changes.kept) == same
    assert made(case, found, "green", "r2", second.document).digest == second.digest


def test_env_files_and_escapes_arrive_as_they_were(place: Path, tmp_path: Path) -> None:
    case = CASES[0]
    there = on_host(made(case, read(case, place), "blue", "r1").document, tmp_path)["services"]
    assert there["backend-blue"]["environment"]["PRICE"] == "a$$b"
    assert there["db"]["healthcheck"]["test"] == ["CMD-SHELL", "pg_isready -U $${POSTGRES_USER}"]
    assert there["nginx-blue"]["networks"]["slot-blue"]["aliases"] == ["nginx"]
    assert there["backend-blue"]["networks"]["slot-blue"]["aliases"] == ["backend", "app_backend"]


def test_values_are_interpolated_once(place: Path, tmp_path: Path) -> None:
    case = next(each for each in CASES if each.name == "interpolation")
    found = on_host(made(case, read(case, place), "blue", "r1").document, tmp_path)["services"]
    backend = found["backend-blue"]
    assert backend["environment"] == {
        "PASSWORD": SECRET.replace("$", "$$"),
        "ESCAPED": "$$NOT_A_VARIABLE",
        "DEFAULTED": "fallback",
        "EMPTY": "",
        "TOKEN": SECRET.replace("$", "$$"),
    }
    assert backend["command"][2] == "echo $$HOME; exec serve --port $${PORT:-8000} --price '5$$'"
    assert backend["labels"]["traefik.http.routers.app.rule"].endswith("PathPrefix(`/$$x`)")


def test_several_files_are_read_one_over_the_other(place: Path) -> None:
    case = next(each for each in CASES if each.name == "several")
    document = made(case, read(case, place), "blue", "r1").document
    assert "volumes" not in document["services"]["backend-blue"]
    assert document["services"]["db"]["ports"][0]["host_ip"] == "127.0.0.1"
    assert document["volumes"]["data"] == {"name": "precious", "external": True}


def test_parts_of_a_file_keep_their_own_paths_and_variables(place: Path) -> None:
    case = next(each for each in CASES if each.name == "include")
    found = read(case, place)
    services = made(case, found, "blue", "r1").document["services"]
    assert services["cache"]["image"] == "redis:7.2"
    assert services["cache"]["command"] == ["redis-server", "--maxmemory", "100mb"]
    uploads = files.place(found, {}).uploads
    assert [str(each.path).split("/", 2)[2] for each in uploads] == ["init/01.sql"]
    assert services["backend-blue"]["depends_on"]["cache"]["required"] is False


def test_pieces_that_are_used_again_and_forms_of_checks_arrive(place: Path) -> None:
    case = next(each for each in CASES if each.name == "anchors")
    found = read(case, place)
    derived = made(case, found, "blue", "r1")
    services = derived.document["services"]
    web, worker = services["web-blue"], services["worker-blue"]
    assert web["logging"]["options"]["max-size"] == "10m" and web["init"] is True
    assert web["environment"] == {"A": "1", "TOKEN": SECRET.replace("$", "$$")}
    assert worker["healthcheck"] == {"disable": True}
    assert found.services["worker"]["build"]["target"] == "worker"
    assert not {"build", "ports", "container_name", "env_file"} & web.keys()
    assert "the-web" in web["networks"]["slot-blue"]["aliases"]
    assert "depends_on" not in services["mail"]
    words = "\n".join(derived.changes.lines({}))
    for lost in (
        "web: port 80, 9000-9001 is not published, the proxy answers instead",
        "web: container_name the-web, two of them run",
        "mail: does not wait for web, and does not find it by this name",
    ):
        assert lost in words


def test_a_service_whose_profile_is_not_chosen_does_not_run(place: Path) -> None:
    case = next(each for each in CASES if each.name == "profiles" and each.profiles)
    services = made(case, read(case, place), "blue", "r1").document["services"]
    assert {"broker", "worker-blue"} <= services.keys()
    assert not {"flower", "adminer"} & services.keys()
    assert not any("profiles" in each for each in services.values())


def test_files_travel_or_stay_on_the_host(place: Path) -> None:
    case = next(each for each in CASES if each.name == "bound")
    placed = files.place(read(case, place), {})
    places = {Path(source).name: str(path) for source, path in placed.paths.items()}
    assert places["data"] == "shared/data", "a folder that git only keeps is the host's"
    assert (places["pg"], places["backups"]) == ("shared/pg", "shared/backups")
    assert places["run.sh"].startswith("files/")
    assert [(each.path.name, oct(each.mode)) for each in placed.uploads] == [("run.sh", "0o555")]


def test_secrets_travel_as_files(place: Path) -> None:
    case = next(each for each in CASES if each.name == "secrets")
    found = read(case, place)
    placed = files.place(found, case.variables)
    uploads = {each.path.name: each for each in placed.uploads}
    assert set(uploads) == {"password.txt", "app.ini", "token"}
    assert uploads["token"].content == SECRET.encode() and SECRET not in repr(placed)
    document = made(case, found, "blue", "r1").document
    token = document["secrets"]["token"]
    assert token["file"] == f"{BASE.replace('$', '$$')}/{uploads['token'].path}"
    assert document["secrets"]["key"]["file"].endswith("/shared/untracked/key.pem")
    assert document["configs"]["inline"]["content"] == "rate = 5$$ per hour, for all\n"
