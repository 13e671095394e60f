"""What a deploy cannot take back is known before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.deploy import ahead
from ops.deploy import git as repository
from tests.deploy.conftest import OPS_TOML, Contexts, release

DATABASE = '[database]\nengine = "postgres"\n[migrations]\nkind = "{kind}"\npath = "{path}"\n'
PYTHON = '[python]\nrequirements = "requirements.txt"\n'
BLOCK = "down_revision = None\ndef upgrade():\n    with op.get_context().autocommit_block():\n        pass\n"


@pytest.mark.parametrize(
    ("kind", "path", "old", "new", "final"),
    [
        (
            "sql",
            "db",
            {"db/1_a.sql": "create index concurrently a on b (c)"},
            {
                "db/2_b.sql": "create table x ()",
                "db/3_c.sql": "-- invops: no-transaction\nselect 1",
                "db/4_d.sql": "vacuum",
                "other/5_e.sql": "vacuum",
            },
            ["3_c.sql", "4_d.sql"],
        ),
        (
            "alembic",
            "alembic.ini",
            {"versions/a.py": BLOCK},
            {"versions/b.py": "def upgrade():\n    pass\n", "versions/c.py": BLOCK},
            ["c.py"],
        ),
    ],
)
def test_only_what_comes_new_and_without_a_transaction_is_named(
    context_of: Contexts,
    git: Callable[..., str],
    tmp_path: Path,
    kind: str,
    path: str,
    old: dict[str, str],
    new: dict[str, str],
    final: list[str],
) -> None:
    for name in ("requirements.txt", "alembic.ini"):
        (tmp_path / name).touch()
    for files in (old, new):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", "more")
    context = context_of(OPS_TOML + DATABASE.format(kind=kind, path=path) + PYTHON)
    served = release("one", 1, commit=git("rev-parse", "HEAD~1"))
    revision = repository.resolve(context, "")
    assert ahead.irreversible(context, revision, served.commit) == final
    assert ahead.irreversible(context, revision, None) == []
