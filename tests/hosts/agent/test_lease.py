from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import lease
from ops.hosts.agent.errors import Refused

ANNA: dict[str, Any] = {
    "owner": "anna@laptop",
    "task": "deploy",
    "host": "laptop",
    "pid": 1,
    "started": 1.0,
    "processes": "boot pid",
}
BERT = ANNA | {"owner": "bert@ci", "pid": 2}


class Host:
    """A host's lease, with the verbs as functions."""

    def __init__(self, folder: Path) -> None:
        owner = {"application": "shop", "environment": "staging"}
        self.place = {"base": str(folder / "base"), "owner": owner}
        self.file = folder / "base" / "lease.json"

    def acquire(self, run: str, holder: dict[str, Any] = ANNA, ttl: float = 60, **more: Any) -> int:
        arguments = {**self.place, "run": run, "ttl": ttl, "holder": holder, **more}
        return int(lease.acquire(arguments)["fencing"])

    def ask(self, verb: Any, run: str = "", fencing: int = 0, **more: Any) -> dict[str, Any]:
        given: dict[str, Any] = verb(
            {**self.place, "lease": {"run": run, "fencing": fencing}, **more}
        )
        return given

    @property
    def holder(self) -> str:
        held = lease.look(self.place)["holder"]
        return str(held["owner"]) if held else ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_free_lease_is_taken_and_shown(host: Host) -> None:
    assert host.holder == ""
    assert host.acquire("a") == 1
    shown = lease.look(host.place)["holder"]
    assert {name: shown[name] for name in ANNA} == ANNA
    assert shown["fencing"] == 1
    assert shown["since"] > 0


def test_second_holder_is_told_who_has_it(host: Host) -> None:
    host.acquire("a")
    with pytest.raises(Refused, match=r"locked by anna@laptop \(deploy, process 1\)") as caught:
        host.acquire("b", BERT)
    assert caught.value.kind == "busy"
    assert host.holder == "anna@laptop"


@pytest.mark.parametrize("renews_first", [False, True])
def test_same_holder_takes_it_again_with_the_same_number(host: Host, renews_first: bool) -> None:
    first = host.acquire("a")
    if renews_first:
        host.ask(lease.renew, "a", first, ttl=60)
    assert host.acquire("a") == first


def test_same_holder_keeps_its_number_when_its_time_was_over_and_nobody_came(host: Host) -> None:
    first = host.acquire("a", ttl=0)
    assert host.holder == ""
    assert host.acquire("a") == first
    assert host.holder == "anna@laptop"


def test_lease_whose_time_is_over_is_free(host: Host) -> None:
    assert host.acquire("a", ttl=0) == 1
    assert host.acquire("b", BERT) == 2
    assert host.holder == "bert@ci"


def test_lease_of_before_a_restart_of_the_host_is_free(host: Host) -> None:
    host.acquire("a")
    record = json.loads(host.file.read_text())
    host.file.write_text(json.dumps({**record, "boot": "another"}))
    assert host.acquire("b", BERT) == 2


def test_renewed_lease_lasts(host: Host) -> None:
    number = host.acquire("a", ttl=0)
    host.ask(lease.renew, "a", number, ttl=60)
    with pytest.raises(Refused, match="locked by anna"):
        host.acquire("b", BERT)


def test_released_lease_is_free(host: Host) -> None:
    host.ask(lease.release, "a", host.acquire("a"))
    assert host.holder == ""


def test_lease_is_released_by_who_does_not_know_its_number(host: Host) -> None:
    host.acquire("a")
    host.ask(lease.release, "a", 0)
    assert host.holder == ""


def test_release_of_somebody_elses_lease_does_nothing(host: Host) -> None:
    old = host.acquire("a", ttl=0)
    host.acquire("b", BERT)
    host.ask(lease.release, "a", old)
    assert host.holder == "bert@ci"


def test_fencing_number_only_grows(host: Host) -> None:
    seen = [host.acquire("a")]
    host.ask(lease.release, "a", seen[-1])
    seen.append(host.acquire("b", BERT, ttl=0))
    seen.append(host.acquire("c"))
    host.ask(lease.break_)
    seen.append(host.acquire("d"))
    host.ask(lease.break_)
    host.ask(lease.break_)
    seen.append(host.acquire("a"))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("replacing", [0, 2, None])
def test_only_the_very_holder_that_is_known_dead_is_replaced(
    host: Host, replacing: int | None
) -> None:
    host.acquire("a")
    with pytest.raises(Refused):
        host.acquire("b", BERT, replacing=replacing)
    assert host.acquire("b", BERT, replacing=1) == 2


def test_holder_may_change_something(host: Host) -> None:
    number = host.acquire("a")
    host.ask(_guard, "a", number)


def test_holder_whose_time_is_over_may_change_something_until_somebody_takes_it(
    host: Host,
) -> None:
    number = host.acquire("a", ttl=0)
    host.ask(_guard, "a", number)


@pytest.mark.parametrize("verb", ["renew", "guard"])
@pytest.mark.parametrize(
    ("run", "off"), [("a", 0), ("b", -1), ("b", 1), ("c", 0)], ids=["old", "low", "high", "other"]
)
def test_anybody_else_may_not(host: Host, verb: str, run: str, off: int) -> None:
    host.acquire("a", ttl=0)
    number = host.acquire("b", BERT) + off
    with pytest.raises(Refused, match="taken away from this run") as caught:
        host.ask(_guard if verb == "guard" else lease.renew, run, number, ttl=60)
    assert caught.value.kind == "taken"
    assert "bert@ci" in caught.value.why


def test_holder_whose_lease_was_broken_may_not(host: Host) -> None:
    number = host.acquire("a")
    host.ask(lease.break_)
    for verb in (lease.renew, _guard):
        with pytest.raises(Refused, match="taken away"):
            host.ask(verb, "a", number, ttl=60)


def test_holder_may_not_on_a_host_that_lost_its_folder(host: Host) -> None:
    for verb in (lease.renew, _guard):
        with pytest.raises(Refused, match="taken away"):
            host.ask(verb, "a", 1, ttl=60)


def test_change_that_names_no_lease_is_refused(host: Host) -> None:
    host.acquire("a")
    with pytest.raises(Refused, match="needs a lease") as caught:
        lease.guard(host.place)
    assert caught.value.kind == "config"


def test_folder_and_files_are_private(host: Host) -> None:
    host.acquire("a")
    assert host.file.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in host.file.parent.iterdir()} == {0o600}


def test_folder_of_another_environment_is_refused(host: Host) -> None:
    host.acquire("a")
    host.place["owner"] = {"application": "blog", "environment": "staging"}
    for verb in (lambda: host.acquire("b"), lambda: host.ask(lease.break_)):
        with pytest.raises(Refused, match="belongs to somebody else") as caught:
            verb()
        assert caught.value.kind == "config"
        assert "application shop, environment staging" in caught.value.why


@pytest.mark.parametrize("base", ["", "relative", "/var/../etc", 7])
def test_folder_that_is_no_absolute_path_is_refused(base: object) -> None:
    with pytest.raises(Refused, match="not an absolute path"):
        lease.look({"base": base})


def _guard(arguments: dict[str, Any]) -> dict[str, Any]:
    lease.guard(arguments)
    return {}
