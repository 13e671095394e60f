"""An application on MariaDB is deployed, with backup and proof before its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mariadb import PASSWORD, Mariadb
from tests.support.project import Project, project

MIGRATION = '''"""{title}."""

from alembic import op

revision = "{revision}"
down_revision = "{down}"


def upgrade() -> None:
{body}
'''


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    with Mariadb.begin() as made:
        yield made


@pytest.fixture(scope="module")
def notes(shared_home: Path, server: Mariadb) -> Iterator[Project]:
    server.create("notes")
    with project("notes", shared_home) as made:
        place = f"?unix_socket={server.socket}"
        url = f"mysql+pymysql://owner:{PASSWORD}@localhost/notes{place}"
        made.variables["NOTES_URL"] = url
        # Root runs services as another user, who must reach the socket.
        server.folder.chmod(0o755)
        yield made


def migration(notes: Project, revision: str, down: str, title: str, *statements: str) -> None:
    body = "\n".join(f"    op.execute({each!r})" for each in statements)
    text = MIGRATION.format(title=title, revision=revision, down=down, body=body)
    notes.put(f"migrations/versions/{revision}_step.py", text)
    notes.commit(title)


def test_first_deploy_migrates_and_serves(notes: Project, server: Mariadb) -> None:
    ran = notes.deploy()
    assert ran.code == 0, ran.text
    assert notes.get("/notes").json == {"notes": ["first"]}
    assert server.ask("notes", "select version_num from alembic_version") == (("0001",),)
    assert PASSWORD not in ran.text
    again = notes.deploy("--yes")
    assert again.code == 0
    assert "nothing to change" in again.out


def test_next_migration_is_asked_for_backed_up_and_proved_first(notes: Project) -> None:
    before = notes.json("backup.list")["backups"]
    migration(notes, "0002", "0001", "second", "INSERT INTO note (body) VALUES ('second')")
    refused = notes.deploy()
    assert refused.code == 3
    assert "this needs a confirmation" in refused.text
    assert "0002_step.py" in refused.text
    ran = notes.deploy("--yes")
    assert ran.code == 0, ran.text
    assert notes.get("/notes").json == {"notes": ["first", "second"]}
    backups = notes.json("backup.list")["backups"]
    assert len(backups) == len(before) + 1
    assert "PASSED" in str(backups[0])


def test_failed_migration_leaves_the_old_release_and_names_the_part(
    notes: Project, server: Mariadb
) -> None:
    serving = notes.serving()
    migration(notes, "0003", "0002", "broken", "CREATE TABLE extra (id int)", "SELECT nonsense")
    ran = notes.deploy("--yes")
    assert ran.code == 1
    assert "a migration failed and left a part behind" in ran.text
    assert notes.serving() == serving
    assert notes.get("/notes").json == {"notes": ["first", "second"]}
    assert server.ask("notes", "show tables like 'extra'")


def test_database_is_backed_up_and_put_back(notes: Project, server: Mariadb) -> None:
    server.run("notes", "create view all_notes as select * from note")
    assert notes.run("backup").code == 0
    newest = notes.json("backup.list")["backups"][0]["id"]
    verified = notes.run("backup.verify", "--full")
    assert verified.code == 0, verified.text
    server.run("notes", "delete from note; drop view all_notes;")
    ran = notes.run("backup.restore", "--id", newest, "--replace", "--yes")
    assert ran.code == 0, ran.text
    assert server.ask("notes", "select body from all_notes") == (("first",), ("second",))
    assert notes.get("/notes").json == {"notes": ["first", "second"]}
    kept = [name for (name,) in server.ask("", "show databases like 'notes\\_before\\_%'")]
    assert len(kept) == 1
    assert server.ask(kept[0], "select count(*) from note") == ((0,),)
    beside = notes.run("backup.restore", "--id", newest, "--into", "notes_copy")
    assert beside.code == 0, beside.text
    assert server.ask("notes_copy", "select body from all_notes") == (("first",), ("second",))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("/notes?", "/nowhere?"), 3, "Unknown database"),
        ((PASSWORD, "wrong-password"), 4, "Access denied"),
        (("owner:", "nobody-at-all:"), 4, "Access denied"),
    ],
)
def test_wrong_url_is_one_line_and_changes_nothing(
    notes: Project, change: tuple[str, str], code: int, words: str
) -> None:
    url = notes.variables["NOTES_URL"].replace(*change)
    ran = notes.run("backup", NOTES_URL=url)
    assert ran.code == code, ran.text
    assert words in ran.text
    assert "Traceback" not in ran.text
    assert PASSWORD not in ran.text
