"""Pruning: the plan first, only after a success, and a killed one leaves nothing that is only listed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.backup import prune, storage
from ops.backup.storage import Store
from ops.kernel.errors import NotPermitted, StepFailed
from ops.kernel.plan import Plan
from ops.kernel.report import Report
from tests.support.vault import Vault, manifest, proof

RULES = "keep_last = 2\nkeep_daily = 0\nkeep_weekly = 0\nkeep_monthly = 0"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path, "postgresql://nobody@/nothing", RULES)


def filled(vault: Vault, count: int = 5) -> list[str]:
    """Backups of the last days, the oldest proved; ids newest first."""
    made = [manifest(n, days=n) for n in range(count - 1)]
    made.append(manifest(count, days=count, proofs=(proof(),)))
    return [vault.keep(each).id for each in made]


def planned(vault: Vault) -> Plan:
    return prune.plan(vault.context())


def carried_out(vault: Vault, plan: Plan) -> prune.Pruned:
    result: prune.Pruned = prune.remove(vault.context(), **plan.steps[0].arguments)
    return result


def test_the_plan_lists_each_backup_that_goes_and_the_run_removes_just_these(vault: Vault) -> None:
    ids = filled(vault)
    plan = planned(vault)
    assert plan.destructive
    assert plan.summary["rules"] == "last 2, daily 0, weekly 0, monthly 0"
    assert (plan.summary["stay"], plan.summary["go"]) == ("3 backups", "2 backups, 6 B")
    assert {key for key in plan.summary if key in ids} == {ids[2], ids[3]}
    assert plan.summary[ids[2]].startswith("3 B, ") and plan.summary[ids[2]].endswith(" old")
    assert carried_out(vault, plan).refused == {}
    assert [each.id for each in vault.backups()] == [ids[0], ids[1], ids[4]]
    assert len(vault.names()) == 6
    assert planned(vault).nothing == "the rules keep all 3"


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        ((proof(verdict="FAILED"),), "the newest backup .* failed its verification"),
        ((), "no backup is proved"),
        ((proof("hash"),), "no backup is proved"),
        ((proof(verdict="UNVERIFIABLE"),), "no backup is proved"),
    ],
)
def test_without_a_success_nothing_goes(
    vault: Vault, newest: tuple[object, ...], said: str
) -> None:
    for number in range(1, 5):
        vault.keep(manifest(number, days=number))
    vault.keep(manifest(9, proofs=newest))
    with pytest.raises(StepFailed, match=f"nothing is pruned: {said}") as caught:
        planned(vault)
    assert "inv backup.verify --env prod" in caught.value.hint
    assert len(vault.backups()) == 5


def test_without_backups_there_is_nothing_to_do(vault: Vault) -> None:
    assert planned(vault).nothing == "the rules keep all 0"


def test_left_overs_of_killed_runs_go_as_well(vault: Vault) -> None:
    filled(vault, 2)
    archive, alone = manifest(7, days=8), manifest(8, days=9)
    vault.keep(archive)
    (vault.own / archive.file).unlink()
    vault.keep(alone)
    (vault.own / alone.archive).unlink()
    newer = manifest(9, days=-1)
    (vault.own / newer.archive).write_bytes(b"may still be on its way")
    broken = vault.keep(manifest(10, days=5))
    (vault.own / broken.file).write_text("{")
    plan = planned(vault)
    assert plan.steps[0].arguments["names"] == sorted([archive.archive, alone.file])
    carried_out(vault, plan)
    assert newer.archive in vault.names() and broken.archive in vault.names()
    assert planned(vault).nothing


@dataclass
class Refusing:
    """A folder whose store refuses or loses some, as Object Lock and a network do."""

    store: Store
    refused: tuple[str, ...] = ()
    dies_after: int = 1000

    def delete(self, name: str) -> None:
        if name in self.refused:
            raise NotPermitted(f"cannot delete {name}", why="Object Lock until 2027-01-01")
        if not self.dies_after:
            raise KeyboardInterrupt
        self.dies_after -= 1
        self.store.delete(name)


def refusing(
    monkeypatch: pytest.MonkeyPatch, vault: Vault, refused: tuple[str, ...] = (), dies: int = 1000
) -> None:
    made = Refusing(storage.of(vault.context()), refused, dies)
    monkeypatch.setattr(storage, "of", lambda _: made)


def test_what_a_lock_keeps_is_named_and_the_others_go_on(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = filled(vault)
    plan = planned(vault)
    locked = manifest(2, days=2)
    with monkeypatch.context() as patch:
        refusing(patch, vault, (locked.archive,))
        pruned = carried_out(vault, plan)
    assert list(pruned.refused) == [locked.archive]
    assert [each.id for each in vault.backups()] == [ids[0], ids[1], locked.id, ids[4]]
    data = {"results": {"remove": {"removed": pruned.removed, "refused": pruned.refused}}}
    report = prune.announce(Report("done", data=data))
    assert report.facts["removed"] == "1 archive"
    assert "Object Lock until 2027" in report.facts["kept"]


def test_a_store_that_refuses_everything_is_an_error(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(vault)
    plan = planned(vault)
    names = tuple(plan.steps[0].arguments["names"])
    with monkeypatch.context() as patch:
        refusing(patch, vault, names)
        with pytest.raises(NotPermitted, match="the store refuses to remove") as caught:
            carried_out(vault, plan)
    assert caught.value.exit_code == 5 and len(vault.backups()) == 5


@pytest.mark.parametrize("dies", range(5))
def test_a_killed_prune_leaves_only_whole_backups_and_the_next_one_converges(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, dies: int
) -> None:
    ids = filled(vault)
    plan = planned(vault)
    with monkeypatch.context() as patch:
        refusing(patch, vault, dies=dies)
        with pytest.raises(KeyboardInterrupt) if dies < 4 else pytest.MonkeyPatch.context():
            carried_out(vault, plan)
    for each in vault.backups():
        assert {each.archive, each.file} <= set(vault.names())
    again = planned(vault)
    if not again.nothing:
        carried_out(vault, again)
    assert [each.id for each in vault.backups()] == [ids[0], ids[1], ids[4]]
    assert len(vault.names()) == 6 and planned(vault).nothing


def test_a_thousand_backups_are_one_step(vault: Vault) -> None:
    filled(vault, 1000)
    plan = planned(vault)
    assert len(plan.steps) == 1 and len(plan.steps[0].arguments["names"]) == 2 * 997
    carried_out(vault, plan)
    assert len(vault.backups()) == 3
