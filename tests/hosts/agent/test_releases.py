from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import base, containers, lease, pruning, releases
from ops.hosts.agent.errors import Refused


class Host:
    """What a host keeps, with the verbs as functions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "base"
        owner = {"application": "shop", "environment": "staging"}
        self.place: dict[str, Any] = {"base": str(self.folder), "owner": owner}
        holder = {"owner": "anna", "task": "deploy", "pid": 1}
        asked = {**self.place, "run": "r", "ttl": 60, "holder": holder}
        self.place["lease"] = {"run": "r", **lease.acquire(asked)}

    def keep(self, name: str, **about: Any) -> None:
        kept = {
            "release": {"id": name, "good": False, "sequence": 1, "breaks_older": False},
            "images": {"web": "sha256:1"},
            "references": {},
            "digest": "d",
            "wanted": {"variables": {"KEY": "secret"}},
            **about,
        }
        releases.keep({**self.place, "release": name, "kept": kept})

    def ask(self, verb: Any, name: str, **more: Any) -> Any:
        return verb({**self.place, "release": name, **more})

    def record(self, name: str) -> Any:
        return self.ask(releases.read, name)["kept"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_release_is_kept_privately_and_read_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "run", lambda *_, **__: "")
    host.keep("one")
    assert host.record("one")["wanted"] == {"variables": {"KEY": "secret"}}
    assert host.record("two") is None
    (path,) = (host.folder / "releases").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in json.dumps(releases.summaries(host.folder))


def test_undo_leaves_what_was_there_before(host: Host) -> None:
    host.keep("one")
    host.ask(releases.forget, "one")
    assert host.record("one") is None
    host.ask(releases.forget, "one")
    host.keep("one", digest="old")
    host.ask(releases.mark, "one", facts={"good": True, "backup": "b"})
    host.keep("one", digest="new")
    host.keep("one", digest="newer")  # after a crash
    assert host.record("one")["release"]["good"]
    host.ask(releases.forget, "one")
    assert (host.record("one")["digest"], host.record("one")["release"]["backup"]) == ("old", "b")
    host.keep("one", digest="new")
    host.ask(releases.mark, "one", facts={"good": True})
    host.ask(releases.forget, "one")
    assert host.record("one")["digest"] == "new"


def test_references_stay_while_the_images_are_the_same(host: Host) -> None:
    host.keep("one", references={"web": "registry/web@sha256:9"})
    host.keep("one")
    assert host.record("one")["references"] == {"web": "registry/web@sha256:9"}
    host.keep("one", images={"web": "sha256:2"})
    assert host.record("one")["references"] == {}


@pytest.mark.parametrize("verb", [releases.keep, releases.forget, releases.mark, pruning.settle])
def test_change_without_the_lease_is_refused(host: Host, verb: Any) -> None:
    asked = {**host.place, "lease": {"run": "other", "fencing": 9}, "release": "one"}
    with pytest.raises(Refused, match="taken away"):
        verb({**asked, "kept": {}, "facts": {}, "keep": [], "project": "p", "count": 1})


@pytest.mark.parametrize("name", ["../one", "", ".one", "a/b", "one\n"])
def test_only_ids_name_a_file(host: Host, name: str) -> None:
    with pytest.raises(Refused, match="no id of a release"):
        host.ask(releases.read, name)


def test_damaged_record_is_told_with_its_place(host: Host) -> None:
    host.keep("one")
    (host.folder / "releases" / "one.json").write_text("{")
    with pytest.raises(Refused, match=r"one\.json is damaged"):
        releases.summaries(host.folder)


def test_fact_about_an_unknown_release_is_refused(host: Host) -> None:
    with pytest.raises(Refused, match="release one is not kept here"):
        host.ask(releases.mark, "one", facts={"good": True})


def record(sequence: int, *, good: bool = True, breaks: bool = False) -> dict[str, Any]:
    return {"release": {"sequence": sequence, "good": good, "breaks_older": breaks}}


@pytest.mark.parametrize(
    ("kept", "keep", "stay"),
    [
        ({}, set(), set()),
        ({"a": record(1), "b": record(2), "c": record(3)}, set(), {"b", "c"}),
        ({"a": record(1), "b": record(2), "c": record(3)}, {"a", "gone"}, {"a", "b", "c"}),
        ({"a": record(1), "b": record(2, good=False), "c": record(3)}, set(), {"a", "c"}),
        ({"a": record(1), "b": record(2, good=False, breaks=True)}, {"a"}, {"a", "b"}),
        ({"a": record(1, good=False, breaks=True), "b": record(2)}, set(), {"b"}),
    ],
)
def test_releases_that_stay(kept: dict[str, Any], keep: set[str], stay: set[str]) -> None:
    assert pruning.staying(kept, keep, 2) == stay


def test_files_and_evidence_that_nothing_needs_go(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "run", lambda *_, **__: "")
    for name in ("a", "b", "c", "d"):
        (host.folder / "files" / name).mkdir(parents=True)
    for number in range(pruning.EVIDENCE + 2):
        (host.folder / "evidence" / f"run{number}").mkdir(parents=True)
    (host.folder / "slots").mkdir()
    base.write(host.folder / "slots" / "blue.json", json.dumps({"release": "slotted"}))
    base.write(host.folder / "model.json", f'"{host.folder}/files/d/page"')
    for number, name in enumerate(("slotted", "old", "new"), 1):
        path = {"slotted": "a", "old": "b", "new": "c"}[name]
        about = {"id": name, "good": True, "sequence": number, "breaks_older": False}
        host.keep(name, release=about, wanted={"paths": {"/x": f"files/{path}/page"}})
        host.ask(releases.mark, name, facts={"good": True})
    asked = {**host.place, "project": "shop-staging", "keep": ["new"], "count": 1}
    removed = pruning.prune(asked)
    assert removed[:2] == ["release old", "files b"]
    assert {path.name for path in (host.folder / "files").iterdir()} == {"a", "c", "d"}
    assert len(list((host.folder / "evidence").iterdir())) == pruning.EVIDENCE
    assert pruning.prune(asked) == []
