"""Retention: what stays, by example and by property."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.backup import retention
from ops.backup.manifest import Manifest
from tests.support.vault import NOON, manifest, proof

NONE = {"last": 0, "daily": 0, "weekly": 0, "monthly": 0}


def kept_days(backups: list[Manifest], **rules: int) -> list[float]:
    kept = retention.keep(backups, **(NONE | rules))
    return [float(each.plain_size) for each in backups if each.id in kept]


def at(days: list[float]) -> list[Manifest]:
    """One backup for each age in days; its `plain_size` is the age."""
    return [manifest(i, days=age, plain_size=age) for i, age in enumerate(days)]


@pytest.mark.parametrize(
    ("ages", "rules", "kept"),
    [
        ([], {"last": 3}, []),
        ([5, 4, 3], {}, [3]),
        ([3, 2, 1, 0], {"last": 2}, [1, 0]),
        ([0, 0.1, 0.2, 1, 1.1], {"daily": 2}, [0, 1]),
        ([0, 30, 60], {"daily": 2}, [0, 30]),  # days without a backup use nothing up
        # NOON is a Saturday: days 0 to 5 are one week, 6 is the Sunday before.
        ([0, 5, 6, 12, 13], {"weekly": 2}, [0, 6]),
        # 21 November: 20 days back is the first of the month, 21 the last of October.
        ([0, 20, 21, 51, 52], {"monthly": 2}, [0, 21]),
        # 1 January 2026 belongs to ISO week 1, which began in December 2025.
        ([324, 325, 326, 327, 328], {"weekly": 2}, [324, 328]),
    ],
)
def test_rules(ages: list[float], rules: dict[str, int], kept: list[float]) -> None:
    assert kept_days(at(ages), **rules) == kept


def test_a_failed_one_counts_for_no_rule() -> None:
    good, failed = manifest(1, days=2), manifest(2, days=1, proofs=(proof(verdict="FAILED"),))
    newest = manifest(3)
    assert retention.keep([good, failed, newest], **(NONE | {"last": 2})) == {good.id, newest.id}


def test_the_newest_proved_and_the_newest_stay_without_any_rule() -> None:
    proved = manifest(1, days=90, proofs=(proof(),))
    later = [manifest(2, days=5), manifest(3, days=4, proofs=(proof("hash"),))]
    newest = manifest(4, proofs=(proof(verdict="FAILED"),))
    assert retention.keep([proved, *later, newest], **NONE) == {proved.id, newest.id}


def test_what_could_not_be_verified_here_is_no_failure() -> None:
    proofs = (proof(), proof("full", "UNVERIFIABLE", "no server"))
    made = manifest(proofs=proofs)
    assert retention.is_good(made) and made.proved


rules = st.fixed_dictionaries({name: st.integers(0, 6) for name in NONE})
PROOFS = (
    (),
    (proof(),),
    (proof("full"),),
    (proof("hash"),),
    (proof(verdict="FAILED"),),
    (proof(), proof(verdict="FAILED")),
    (proof(verdict="UNVERIFIABLE"),),
)
proofs = st.sampled_from(PROOFS)
history = st.lists(st.tuples(st.floats(0, 800), proofs), max_size=40).map(
    lambda rows: [manifest(i, days=age, proofs=found) for i, (age, found) in enumerate(rows)]
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("backup"), st.floats(0.01, 40)),
        st.tuples(
            st.just("prove"), st.tuples(st.integers(0, 30), st.sampled_from(["PASSED", "FAILED"]))
        ),
        st.tuples(st.just("prune"), rules),
    ),
    max_size=40,
)


@given(history, rules)
def test_pruning_twice_is_pruning_once(backups: list[Manifest], chosen: dict[str, int]) -> None:
    kept = retention.keep(backups, **chosen)
    assert kept <= {each.id for each in backups}
    left = [each for each in backups if each.id in kept]
    assert retention.keep(left, **chosen) == kept


@given(history, rules, rules)
def test_more_generous_rules_keep_a_superset(
    backups: list[Manifest], chosen: dict[str, int], more: dict[str, int]
) -> None:
    generous = {name: count + more[name] for name, count in chosen.items()}
    assert retention.keep(backups, **chosen) <= retention.keep(backups, **generous)


@given(history, rules)
def test_the_order_in_which_they_come_does_not_matter(
    backups: list[Manifest], chosen: dict[str, int]
) -> None:
    assert retention.keep(backups, **chosen) == retention.keep(backups[::-1], **chosen)


@given(actions)
def test_the_newest_proved_backup_survives_any_sequence(steps: list[tuple[str, object]]) -> None:
    there: list[Manifest] = []
    now = NOON
    for number, (kind, value) in enumerate(steps):
        if kind == "backup":
            assert isinstance(value, float)
            now += timedelta(days=value)
            there.append(manifest(number, days=(NOON - now) / timedelta(days=1)))
        elif kind == "prove" and there:
            assert isinstance(value, tuple)
            which = value[0] % len(there)
            there[which] = replace(
                there[which], proofs=(*there[which].proofs, proof("data", value[1]))
            )
        elif kind == "prune":
            assert isinstance(value, dict)
            proved = [each.id for each in there if each.proved]
            newest = [each.id for each in there][-1:]
            kept = retention.keep(there, **value)
            assert kept >= {*proved[-1:], *newest}
            there = [each for each in there if each.id in kept]
