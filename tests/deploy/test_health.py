"""Health of a service, and that it is the expected release."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from ops.deploy.health import Health, HealthTarget, probe, wait_healthy
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import StepFailed
from ops.kernel.events import Event
from tests.support.answers import Reply, serving

TARGET = HealthTarget("api", "/ready", "", version_key="version", version="abc")


def context(seconds: float = 60, announce: list[Event] | None = None) -> Context:
    heard = [] if announce is None else announce
    return Context(cast("object", None), cast("object", None), Deadline(seconds), announce=heard.append)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200, b'{"version": "abc"}'), Health(True, 200, "abc")),
        (
            Reply(503, b'{"database": "does not answer"}'),
            Health(False, 503, "", '/ready answers 503: {"database": "does not answer"}'),
        ),
        (Reply(404, b""), Health(False, 404, "", "/ready answers 404: with an empty body")),
        (
            Reply(200, b'{"version": "old"}'),
            Health(False, 200, "old", "is another release: it says old, expected abc"),
        ),
        (
            Reply(200, b"ok"),
            Health(False, 200, "", '/ready answers 200 without the key "version": ok'),
        ),
        (
            Reply(200, b"[]"),
            Health(False, 200, "", '/ready answers 200 without the key "version": []'),
        ),
    ],
)
def test_probe_tells_the_reason(tmp_path: Path, reply: Reply, expected: Health) -> None:
    with serving(lambda: reply) as tcp, serving(lambda: reply, tmp_path / "s") as unix:
        assert probe(replace(TARGET, address=tcp)) == expected
        assert probe(replace(TARGET, address=unix)) == expected


def test_service_without_version_needs_only_200() -> None:
    with serving(lambda: Reply(200, b"fine")) as address:
        assert probe(HealthTarget("web", "/", address)) == Health(True, 200)


def test_silence_is_a_reason(tmp_path: Path) -> None:
    health = probe(replace(TARGET, address=f"unix@{tmp_path}/none"))
    assert (health.ok, health.status) == (False, 0)
    assert health.reason.startswith("does not answer (") and "No such file" in health.reason


def test_waits_until_all_are_healthy() -> None:
    heard: list[Event] = []
    good = Reply(200, b'{"version": "abc"}')
    answers = itertools.chain([Reply(503)] * 2, itertools.repeat(good))
    with (
        serving(lambda: next(answers)) as late,
        serving(lambda: good) as early,
    ):
        targets = [replace(TARGET, address=late), replace(TARGET, service="web", address=early)]
        wait_healthy(context(announce=heard), targets, within=10)
    assert [event.data["done"] for event in heard] == [1, 1, 2]


def test_failure_has_the_last_answer_of_each(tmp_path: Path) -> None:
    with (
        serving(lambda: Reply(503, b"database is down")) as sick,
        serving(lambda: Reply(200, b'{"version": "abc"}')) as well,
    ):
        targets = [
            replace(TARGET, address=sick),
            replace(TARGET, service="web", address=well),
            replace(TARGET, service="queue", address=f"unix@{tmp_path}/none"),
        ]
        with pytest.raises(StepFailed) as caught:
            wait_healthy(context(), targets, within=0.3)
    assert caught.value.what == "not healthy within 0.3 s: api, queue"
    assert caught.value.why.startswith(
        "api /ready answers 503: database is down; queue does not answer ("
    )
    assert caught.value.hint


def test_the_steps_own_limit_counts(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"within 0\.\d+ s: api"):
        wait_healthy(context(0.2), [replace(TARGET, address=f"unix@{tmp_path}/none")], within=60)


def test_waiting_ends_when_it_has_become_pointless(tmp_path: Path) -> None:
    def gone() -> None:
        raise StepFailed("the process is gone")

    with pytest.raises(StepFailed, match="the process is gone"):
        wait_healthy(
            context(), [replace(TARGET, address=f"unix@{tmp_path}/none")], 60, meanwhile=gone
        )
