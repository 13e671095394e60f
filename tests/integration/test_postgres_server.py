"""The embedded server with real PostgreSQL: twice the same, back after kill -9, closed to everybody else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from ops.database import server, sql
from ops.database.server import Server
from ops.hosts import account, orphans, tools
from ops.kernel import files, guard
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    DependencyError,
    EffectRefused,
    NotPermitted,
    StepFailed,
)
from tests.support.local import Project, at, eventually, is_root, lives, project

NAME = "shop_local"


def server_of(made: Project) -> Server:
    return Server(made.context, made.home, made.daemon(), account.lookup())


def add_row(made: Project) -> int:
    """Add a row and return how many there are."""
    with sql.connect(server_of(made).url(NAME), read_only=False) as connection:
        connection.execute("create table if not exists orders (id serial)")
        connection.execute("insert into orders default values")
        row = connection.execute("select count(*) from orders").fetchone()
    assert row is not None
    return int(row[0])


def pid_of(made: Project) -> int:
    return next(each.pid for each in made.daemon().programs() if each.name == server.PROGRAM)


@pytest.fixture(scope="module")
def shop() -> Iterator[Project]:
    """A running server that tests leave running."""
    with project(seconds=280) as made:
        server_of(made).ensure()
        server_of(made).ensure_database(NAME)
        yield made


def test_second_time_changes_nothing(shop: Project) -> None:
    before, credentials = pid_of(shop), (shop.home.postgres / "credentials.json").read_bytes()
    url = server_of(shop).url(NAME).get_secret_value()
    server_of(shop).ensure()
    server_of(shop).ensure_database(NAME)
    assert pid_of(shop) == before
    assert (shop.home.postgres / "credentials.json").read_bytes() == credentials
    assert server_of(shop).url(NAME).get_secret_value() == url


def test_owner_works_in_its_database(shop: Project) -> None:
    assert server_of(shop).running()
    assert server_of(shop).has_database(NAME)
    assert not server_of(shop).has_database("other")
    before = add_row(shop)
    assert add_row(shop) == before + 1


def test_cluster_is_made_as_decided(shop: Project) -> None:
    with sql.connect(server_of(shop).url(NAME), read_only=True) as connection:
        query = (
            "select pg_encoding_to_char(encoding), datcollate, current_setting('data_checksums'),"
            " current_setting('listen_addresses'), rolsuper"
            " from pg_database, pg_roles where datname = current_database() and rolname = current_user"
        )
        assert connection.execute(query).fetchone() == ("UTF8", "C.UTF-8", "on", "", False)


def test_it_runs_unprivileged_and_without_a_port(shop: Project) -> None:
    process = psutil.Process(pid_of(shop))
    assert 0 not in process.uids()
    assert process.net_connections("inet") == []
    assert shop.home.sockets.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("password", ["", ":wrong-password"])
def test_nobody_enters_without_the_password(shop: Project, password: str) -> None:
    url = f"postgresql://postgres{password}@/postgres?host={shop.home.sockets}"
    with pytest.raises(ConnectionFailed) as caught, sql.connect(SecretStr(url), read_only=True):
        pass
    assert "wrong-password" not in str(caught.value)


def test_passwords_are_private_and_in_no_process_list(shop: Project) -> None:
    path = shop.home.postgres / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    passwords = json.loads(path.read_text()).values()
    lists = " ".join(str(each.info["cmdline"]) for each in psutil.process_iter(["cmdline"]))
    log = shop.daemon().log_path(server.PROGRAM).read_text()
    assert not [each for each in passwords if each in lists or each in log]
    # They are hidden in all output as well.
    assert not [each for each in passwords if each in shop.context.secrets.redactor.text(each)]


def test_two_at_once_make_one_database(shop: Project) -> None:
    failed: list[BaseException] = []

    def make() -> None:
        try:
            server_of(at(shop.folder)).ensure_database("shop_twice")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert server_of(shop).has_database("shop_twice")


def test_other_environments_database_is_closed(shop: Project) -> None:
    server_of(shop).ensure_database("shop_other")
    url = server_of(shop).url(NAME).get_secret_value().replace(f"/{NAME}?", "/shop_other?")
    with (
        pytest.raises(ConnectionFailed, match="permission denied"),
        sql.connect(SecretStr(url), read_only=True),
    ):
        pass


def test_tool_has_the_servers_version(shop: Project) -> None:
    folder = server_of(shop).tool("pg_dump").parent
    major = (shop.home.postgres / "data" / "PG_VERSION").read_text().strip()
    assert tools.version(folder / "pg_dump").startswith(f"{major}.")


def test_dry_run_can_look_but_the_server_refuses_changes(shop: Project) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        assert server_of(shop).running()
        with pytest.raises(EffectRefused, match="read-only transaction"):
            add_row(shop)
        with pytest.raises(EffectRefused):
            server_of(shop).ensure_database("shop_new")
    assert not server_of(shop).has_database("shop_new")


def test_read_only_connection_refuses_changes(shop: Project) -> None:
    for autocommit in (False, True):
        with pytest.raises(NotPermitted, match="read-only transaction"):
            url = server_of(shop).url(NAME)
            with sql.connect(url, read_only=True, autocommit=autocommit) as connection:
                connection.execute("create table no (id int)")


def test_missing_privilege_is_told(shop: Project) -> None:
    url = server_of(shop).url(NAME)
    with (
        pytest.raises(NotPermitted, match="permission denied"),
        sql.connect(url, read_only=False) as connection,
    ):
        connection.execute("select * from pg_authid")


def test_lock_timeout_ends_the_wait(shop: Project) -> None:
    add_row(shop)
    url = server_of(shop).url(NAME)
    with psycopg.connect(url.get_secret_value()) as holder:
        holder.execute("lock table orders")
        with (
            pytest.raises(StepFailed, match="lock timeout"),
            sql.connect(url, read_only=False, lock_timeout="50ms") as connection,
        ):
            connection.execute("alter table orders add column note text")


def test_variables_of_the_shell_lead_nowhere(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    with sql.connect(server_of(shop).url(NAME), read_only=True) as connection:
        assert connection.execute("show search_path").fetchone() == ('"$user", public',)


def test_killed_server_comes_back_with_its_data() -> None:
    with project() as made:
        server_of(made).ensure()
        server_of(made).ensure_database(NAME)
        before = add_row(made)
        killed = psutil.Process(pid_of(made))
        killed.kill()
        assert eventually(lambda: pid_of(made) not in (0, killed.pid))
        server_of(made).ensure()
        assert add_row(made) == before + 1


def test_killed_daemon_and_server_come_back_with_their_data() -> None:
    with project() as made:
        server_of(made).ensure()
        server_of(made).ensure_database(NAME)
        before, postmaster = add_row(made), psutil.Process(pid_of(made))
        (daemon,) = orphans.find(made.home, {"supervisord"})
        daemon.kill()
        assert eventually(lambda: not lives(daemon))
        assert add_row(made) == before + 1
        server_of(made).ensure()
        assert not lives(postmaster)
        assert add_row(made) == before + 2


def test_killed_initdb_is_repaired() -> None:
    with project() as made:
        made.daemon().ensure()
        half = made.home.postgres / "new" / "data"
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("15\n")
        server_of(made).ensure()
        assert server_of(made).running()
        assert not half.parent.exists()


def test_data_of_another_major_version_is_not_touched() -> None:
    with project() as made:
        made.daemon().ensure()
        data = made.home.postgres / "data"
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text("9\n")
        assert not server_of(made).installed()
        with pytest.raises(DependencyError, match="PostgreSQL 9 is not on this machine") as caught:
            server_of(made).ensure()
        assert caught.value.hint.endswith("postgresql-9")
        assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_lost_passwords_are_named() -> None:
    with project() as made:
        server_of(made).ensure()
        files.remove(made.home.postgres / "credentials.json")
        assert not server_of(made).running()
        with pytest.raises(ConfigurationError, match="password of the embedded server is missing"):
            server_of(made).ensure()


def test_server_that_cannot_start_is_reported_with_its_last_words() -> None:
    with project() as made:
        server_of(made).ensure()
        made.daemon().stop(server.PROGRAM)
        conf = made.home.postgres / "data" / "postgresql.conf"
        conf.write_text(conf.read_text() + "\nno_such_setting = 1\n")
        with pytest.raises(StepFailed) as caught:
            server_of(made).ensure()
        assert "no_such_setting" in caught.value.why


def test_url_of_an_unknown_database_is_an_error() -> None:
    with project() as made, pytest.raises(ConfigurationError, match="no database shop_local yet"):
        server_of(made).url(NAME)


@pytest.mark.skipif(not is_root(), reason="only root runs the server as another user")
def test_as_root_data_belongs_to_the_service_user(shop: Project) -> None:
    user = account.lookup()
    assert user is not None
    assert (shop.home.postgres / "data").stat().st_uid == user.uid
    assert (shop.home.postgres / "credentials.json").stat().st_uid == 0
