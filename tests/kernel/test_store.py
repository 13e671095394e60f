"""Opening the state database: made once, migrated once, private, and clear when it cannot be."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr

from ops.kernel import guard, settings, state_migrations, tables
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    ConnectionFailed,
    EffectRefused,
    NotPermitted,
    OpsError,
)
from ops.kernel.journal import Journal
from ops.kernel.store import State, migrate, open_state
from ops.kernel.store.engine import Target, postgresql, sqlite
from ops.kernel.store.state import open_target
from tests.support.postgres import Postgres
from tests.support.state import ROOT, Place, new_run

SELECT_RUNS = sa.select(tables.runs)


def test_opening_makes_the_schema_of_this_version(state: State) -> None:
    assert state.version() == state_migrations.HEAD
    assert state.rows(SELECT_RUNS) == []


def test_migrations_make_exactly_the_tables_of_the_code(place: Place) -> None:
    place.open().close()
    with place.target.owner_engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "state_version"})
        assert compare_metadata(context, tables.metadata) == []


def test_known_versions_are_those_of_the_migrations() -> None:
    folder = Path(state_migrations.__file__).parent
    scripts = ScriptDirectory(str(folder)).walk_revisions()
    assert [each.revision for each in scripts][::-1] == list(state_migrations.REVISIONS)


def test_opening_a_current_database_does_not_import_alembic(place: Place) -> None:
    place.open().close()
    code = (
        "import sys\n"
        "from ops.kernel.store.state import open_target\n"
        "from tests.support.state import target\n"
        f"open_target(target({place.arguments!r})).close()\n"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "False", result.stderr


def test_two_processes_that_open_at_once_make_one_schema(place: Place) -> None:
    workers = [place.worker("opened") for _ in range(3)]
    answers = {worker.communicate()[0].strip() for worker in workers}
    assert answers == {state_migrations.HEAD}
    assert place.as_owner("SELECT count(*) FROM state_version") == [(1,)]


def test_reading_makes_nothing(place: Place) -> None:
    assert open_target(place.target, create=False) is None
    assert not place.folder.exists()
    if place.server:
        tables_made = place.as_owner("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables_made == [(0,)]


def test_reading_an_empty_file_of_a_killed_process_finds_nothing(tmp_path: Path) -> None:
    target = sqlite(tmp_path)
    (tmp_path / "state.db").touch()
    assert open_target(target, create=False) is None
    made = open_target(target)
    assert made is not None
    made.close()


def test_in_a_read_task_the_database_refuses_to_write(place: Place) -> None:
    place.open().close()
    with guard.scope(guard.Mode.READ):
        state = open_target(place.target, create=False)
        assert state is not None
        with state, pytest.raises(NotPermitted):
            state.change(sa.delete(tables.health))


def test_a_read_task_cannot_create(place: Place) -> None:
    with guard.scope(guard.Mode.READ), pytest.raises(EffectRefused):
        open_target(place.target)


def test_a_dry_run_may_create(place: Place) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        place.open().close()


def test_a_newer_schema_is_refused(place: Place) -> None:
    place.open().close()
    place.as_owner("UPDATE state_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999") as caught:
        place.open()
    assert "newer invops" in caught.value.hint


def test_files_are_private_and_safe_against_power_loss(tmp_path: Path) -> None:
    folder = tmp_path / ".ops"
    folder.mkdir(mode=0o755)
    state = open_target(sqlite(folder))
    assert state is not None
    with state:
        assert state.version()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
        assert files == dict.fromkeys(
            (".gitignore", "state.db", "state.db-shm", "state.db-wal"), 0o600
        )
        names = (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "recursive_triggers",
            "busy_timeout",
        )
        found = [state.rows(sa.text(f"PRAGMA {name}"))[0][0] for name in names]
        assert found == ["wal", 2, 1, 1, 30_000]
    assert sorted(each.name for each in folder.iterdir()) == [".gitignore", "state.db"]


def test_a_transaction_that_fails_leaves_nothing(state: State) -> None:
    values = {"id": "1", "environment": "e", "target": "t", "name": "n", "result": "r"}
    insert = sa.insert(tables.health).values(**values, detail="", seconds=1.0, recorded=1.0)
    with pytest.raises(ZeroDivisionError), state.transaction() as connection:
        connection.execute(insert)
        raise ZeroDivisionError
    assert state.rows(sa.select(tables.health)) == []
    state.change(insert)
    assert len(state.rows(sa.select(tables.health))) == 1


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OpsError):
        open_target(sqlite(tmp_path / "file" / ".ops"))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(OpsError, match="not a database") as caught:
        open_target(sqlite(tmp_path))
    assert "move" in caught.value.hint


def test_a_folder_of_somebody_else_is_not_permitted(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        with pytest.raises(NotPermitted):
            open_target(sqlite(tmp_path / ".ops"))
    finally:
        os.seteuid(user)


def test_a_file_that_cannot_be_opened_is_not_permitted(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(NotPermitted, match="unable to open") as caught:
        open_target(sqlite(tmp_path))
    assert "ls -la" in caught.value.hint


def test_another_error_of_the_database_is_told_as_it_is(state: State) -> None:
    with pytest.raises(OpsError, match="nothing_like_it"):
        state.rows(sa.text("SELECT * FROM nothing_like_it"))
    with pytest.raises(OpsError, match="missing"):
        state.rows(sa.select(tables.runs).where(tables.runs.c.id == sa.bindparam("missing")))


@pytest.mark.parametrize("held", [True, False], ids=["for ever", "for a moment"])
def test_a_migration_of_another_process_is_waited_for(
    place: Place, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.kernel.store.migrate._LOCK_SECONDS", 0.3 if held else 30)
    with migrating(place) as release:
        if held:
            with pytest.raises(Busy, match="being migrated"):
                place.open()
        else:
            threading.Timer(0.2, release).start()
            place.open().close()


@contextmanager
def migrating(place: Place) -> Iterator[Callable[[], None]]:
    """Hold the lock of a migration as another process would; give a way to let it go."""
    if place.server is None:
        place.folder.mkdir()
        handle = os.open(place.folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
        return
    with place.server.connect(place.name) as connection:
        connection.execute(f"SELECT pg_advisory_lock({migrate._ADVISORY_KEY})".encode())
        yield connection.close


SETTINGS = """
[app]
name = "shop"
[services.backend]
command = "backend --port {port}"
port = 8000
[environments.development]
target = "local"
"""


def test_the_settings_decide_which_database_it_is(place: Place, tmp_path: Path) -> None:
    (tmp_path / "ops.toml").write_text(SETTINGS)
    names = ("OPS_STATE_URL", "OPS_STATE_ADMIN_URL")
    variables = dict(zip(names, place.arguments, strict=True)) if place.server else {}
    loaded = settings.load(start=tmp_path, environ=variables)
    assert open_state(loaded, create=False) is None
    made = open_state(loaded)
    assert made is not None
    with made:
        run_id = Journal(made).begin(new_run())
    with place.open() as state:
        assert Journal(state).get(run_id).state == "running"


@pytest.mark.parametrize(
    "url",
    ["", "mysql://host/database", "sqlite:///x", "postgresql://host", "postgres://u:secret@[", "x"],
)
def test_a_wrong_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        postgresql(SecretStr(url))
    assert "OPS_STATE_URL" in str(caught.value)
    assert "secret" not in str(caught.value) + caught.value.hint


def unreachable(server: Postgres, case: str) -> Target:
    urls = {
        "no server": f"postgresql://{'u'}:{'hunter22'}@127.0.0.1:1/state",
        "no socket": "postgresql://u@/state?host=/nonexistent&password=hunter22",
        "no database": server.url("nothing"),
        "no role": server.url("postgres", "stranger"),
    }
    return postgresql(SecretStr(urls[case]))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("no server", ConnectionFailed),
        ("no socket", ConnectionFailed),
        ("no database", ConfigurationError),
        ("no role", NotPermitted),
    ],
)
def test_a_server_that_cannot_be_used_is_named_without_the_password(
    postgres: Postgres, case: str, kind: type[OpsError]
) -> None:
    with pytest.raises(kind) as caught:
        open_target(unreachable(postgres, case))
    text = f"{caught.value} {caught.value.hint}"
    assert type(caught.value) is kind
    assert "OPS_STATE_URL" in text
    assert "hunter22" not in text
