"""The data folder of scratch servers is made once and unpacked afterwards; it never stops a server from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.database import scratch, sql
from ops.hosts import account, home
from ops.kernel import guard
from ops.kernel.context import Context
from tests.support.local import Project, project


def answers(context: Context) -> bool:
    with (
        scratch.server(context) as server,
        sql.connect(server.make("x"), read_only=True) as connection,
    ):
        return connection.execute("select 1").fetchone() == (1,)


def make_home(made: Project) -> None:
    user = account.unprivileged()
    home.create(made.home, user.owner if user else None)


def templates(made: Project) -> list[Path]:
    return list((made.home.path / "scratch").glob("*"))


def test_it_is_kept_by_the_first_server_and_used_by_the_next() -> None:
    with project() as made:
        make_home(made)
        assert answers(made.context)
        (kept,) = templates(made)
        assert kept.suffix == ".tar"
        before = kept.stat().st_mtime_ns
        made.output.clear()
        assert answers(made.context)
        assert not any(b"selecting default" in line for line in made.output)
        assert kept.stat().st_mtime_ns == before


def test_a_broken_one_is_replaced() -> None:
    with project() as made:
        make_home(made)
        assert answers(made.context)
        (kept,) = templates(made)
        whole = kept.stat().st_size
        kept.write_bytes(kept.read_bytes()[: whole // 2 + 7])
        assert answers(made.context)
        assert kept.stat().st_size == whole


@pytest.mark.parametrize("mode", [guard.Mode.DRY_RUN, guard.Mode.READ])
def test_a_dry_run_makes_none(mode: guard.Mode) -> None:
    with project() as made:
        make_home(made)
        with guard.scope(mode):
            assert answers(made.context)
        assert templates(made) == []


def test_a_home_is_made_for_it() -> None:
    with project() as made:
        assert answers(made.context)
        assert len(templates(made)) == 1
