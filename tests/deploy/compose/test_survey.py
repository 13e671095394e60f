from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ops.deploy.compose import survey
from ops.deploy.compose.survey import Survey
from ops.hosts import machines
from ops.kernel.settings.models import Settings
from tests.support import runs
from tests.support.machines import world

GOOD: dict[str, Any] = {
    "python": "3.11.2",
    "docker": {"version": "26.1.5+dfsg1", "why": ""},
    "compose": {"version": "v2.26.1-4", "why": ""},
    "free": 6 * 10**9,
}
REFUSED = {"kind": "failed", "what": "failed: docker ps", "why": "a\nb", "hint": "look"}


def surveyed(refused: dict[str, str] | None = None, skew: float = 0.0, **facts: Any) -> Survey:
    return Survey("web1", {**GOOD, **facts}, None, None, refused, {}, skew)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return runs.settings(runs.project(tmp_path))


def test_good_host_has_nothing_wrong(settings: Settings) -> None:
    found = list(survey.findings(settings, surveyed()))
    assert {each.state for each in found} == {"ok"}
    assert [each.check for each in found] == ["Python", "engine", "Compose", "disk", "clock"]


@pytest.mark.parametrize(
    ("host", "check", "code", "words"),
    [
        (surveyed(free=4 * 10**9), "disk", 1, "4.0 GB free, 5.0 GB needed"),
        (surveyed(skew=-61.4), "clock", 1, "61 s behind this one"),
        (surveyed(skew=5.6), "clock", 1, "6 s ahead of this one"),
        (surveyed(docker={"version": "19.3.1", "why": ""}), "engine", 2, "20.10 or newer"),
        (surveyed(compose={"version": "2.4.0", "why": ""}), "Compose", 2, "2.26 or newer"),
        (
            surveyed(docker={"version": "", "why": "docker is not installed"}, refused=REFUSED),
            "engine",
            2,
            "docker is not installed",
        ),
        (
            surveyed(docker={"version": "", "why": "Cannot connect to the Docker daemon"}),
            "engine",
            4,
            "Cannot connect",
        ),
        (
            surveyed(docker={"version": "", "why": "permission denied while"}),
            "engine",
            5,
            "permission denied",
        ),
        (surveyed(refused=REFUSED), "containers", 1, "failed: docker ps: b"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_code_and_a_hint(
    settings: Settings, host: Survey, check: str, code: int, words: str
) -> None:
    (found,) = [each for each in survey.findings(settings, host) if each.state == "wrong"]
    assert (found.where, found.check, found.code) == ("web1", check, code)
    assert words in found.found and found.hint


@pytest.mark.parametrize(("ahead", "expected"), [(0.0, 0.0), (100.0, 100.0), (-100.0, -100.0)])
def test_difference_of_clocks_is_that_beyond_the_time_of_the_question(
    monkeypatch: pytest.MonkeyPatch, ahead: float, expected: float
) -> None:
    with world() as made:
        context = made.context()
        (machine,) = machines.of(context)
        told: dict[str, Any] = {
            "holder": None,
            "observed": None,
            "refused": None,
            "images": {},
        }

        def call(*_: object, **__: object) -> dict[str, Any]:
            return {**told, "facts": {**GOOD, "now": time.time() + ahead}}

        monkeypatch.setattr(machine, "call", call)
        found = survey.ask(context).complete()["localhost"]
    assert found.skew == pytest.approx(expected, abs=20) and (not expected) == (not found.skew)
