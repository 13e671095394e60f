"""Faults that only show when sections are compared, with the exact message for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Faults = Callable[..., list[str]]
Load = Callable[..., object]

APP = '[app]\nname = "shop"\n[environments.development]\ntarget = "local"\n'
WEB = '[services.web]\ncommand = "serve {port}"\nport = 8000\n'  # lines 5 to 7
LONG = "n" * 20


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[services.a]\n", "ops.toml:5: services.a has neither command nor static"),
        ('[services.a]\ndevelopment = "npm start"\n', "ops.toml:5: services.a has neither command nor static"),
        (f'{WEB}static = "dist"\n', "ops.toml:8: services.web.static cannot stand beside command: make it two services"),
        ('[services.a]\ncommand = "x"\nhealth = "/h"\n', "ops.toml:7: services.a.health needs a web service: one with command, and port or route"),
        ('[services.a]\nstatic = "dist"\nlive = "/h"\n', "ops.toml:7: services.a.live needs a web service: one with command, and port or route"),
        ('[services.a]\ncommand = "x"\nhealth_version = "v"\n', "ops.toml:7: services.a.health_version needs a web service: one with command, and port or route"),
        ('[services.a]\ncommand = "x"\nport = 80\n', "ops.toml:6: services.a.command does not say where to listen: use {socket} or {port} in it"),
        ('[services.a]\ncommand = "x"\nroute = ["/"]\n', "ops.toml:6: services.a.command does not say where to listen: use {socket} or {port} in it"),
        ('[services.a]\ncommand = "x {port} {socket}"\nport = 80\n', "ops.toml:6: services.a.command listens on {socket} and on {port}: use one of them"),
        ('[services.a]\ncommand = "x {prt}"\n', "ops.toml:6: services.a.command has an unknown placeholder {prt}: known are {socket}, {port}, did you mean 'port'?"),
        ('[services.a]\ncommand = "x {}"\n', "ops.toml:6: services.a.command has an unknown placeholder {}: known are {socket}, {port}"),
        ('[services.a]\ncommand = "x {port!r}"\n', "ops.toml:6: services.a.command has an unknown placeholder {port}: known are {socket}, {port}, did you mean 'port'?"),
        ('[services.a]\ncommand = "x { y"\n', "ops.toml:6: services.a.command has a single brace: write {{ or }} for the character itself"),
        (f'{WEB}development = "x {{host}}"\n', "ops.toml:8: services.web.development has an unknown placeholder {host}: known are {socket}, {port}"),
        ('[services.a]\ncommand = "x"\ndevelopment = "x {port}"\n', "ops.toml:7: services.a.development uses {port}, but the service has no port"),
        (f'{WEB}[services.b]\ncommand = "x {{port}}"\nport = 8000\nroute = ["/b"]\n', "ops.toml:10: services.b.port is 8000, which services.web.port has already"),
        (f'{WEB}[environments.local]\ntarget = "local"\nport = 8000\n', "ops.toml:10: environments.local.port is 8000, which services.web.port has already"),
        ('[environments.a]\ntarget = "local"\nport = 80\n[environments.b]\ntarget = "local"\nport = 80\n', "ops.toml:10: environments.b.port is 80, which environments.a.port has already"),
        (f'{WEB}[services.b]\nstatic = "dist"\n', "ops.toml:8: services.b.route[0] is '/', which services.web has already"),
        (f'{WEB}route = ["/a/"]\n[services.b]\nstatic = "dist"\nroute = ["/b", "/a"]\n', "ops.toml:11: services.b.route[1] is '/a', which services.web has already"),
        (f'{WEB}secrets = {{ K = "plain text" }}\n', "ops.toml:8: services.web.secrets.K must be a reference, not the secret itself: 'env:NAME' or 'file:PATH'"),
        (f'{WEB}secrets = {{ K = "evn:X" }}\n', "ops.toml:8: services.web.secrets.K has an unknown kind of reference: known are 'env:NAME' or 'file:PATH', did you mean 'env'?"),
        (f'{WEB}secrets = {{ K = "env:X" }}\nenvironment = {{ K = "x" }}\n', "ops.toml:8: services.web.secrets.K stands in environment as well"),
        ('[environments.x]\ntarget = "local"\ndatabase_url = "postgres://u:secret@h/d"\n', "ops.toml:7: environments.x.database_url must be a reference, not the secret itself: 'env:NAME' or 'file:PATH'"),
        ('[migrations]\nkind = "sql"\npath = "."\n', "ops.toml:5: migrations needs a section [database]"),
        ('[database]\nengine = "postgres"\n[migrations]\nkind = "alembic"\npath = "ops.toml"\n', "ops.toml:8: migrations.kind is 'alembic', which needs a section [python]"),
        ('[database]\nengine = "postgres"\n[migrations]\nkind = "sql"\npath = "none"\n', "ops.toml:9: migrations.path names a folder that does not exist: none"),
        ('[python]\nrequirements = "none.txt"\n', "ops.toml:6: python.requirements names a file that does not exist: none.txt"),
        ('[python]\nrequirements = "."\n', "ops.toml:6: python.requirements names a file that does not exist: ."),
        ('[python]\nrequirements = "ops.toml"\npackages = [".", "none"]\n', "ops.toml:7: python.packages[1] names a folder that does not exist: none"),
        (f'{WEB}directory = "none"\n', "ops.toml:8: services.web.directory names a folder that does not exist: none"),
        (f'{WEB}directory = "/usr"\n', "ops.toml:8: services.web.directory must be relative to the project, not '/usr'"),
        (f'{WEB}directory = "~/x"\n', "ops.toml:8: services.web.directory must be relative to the project, not '~/x'"),
        ('[services.a]\nstatic = "../.."\n', "ops.toml:6: services.a.static leaves the project: {outside}"),
        (f'[services.{LONG}]\ncommand = "x {{socket}}"\nroute = ["/"]\n', f"ops.toml:5: services.{LONG} and environments.development have names too long for a socket's path: 31 characters together, at most 24"),
        (f'[services.{LONG}]\nstatic = "dist"\n', f"ops.toml:5: services.{LONG} and environments.development have names too long for a socket's path: 31 characters together, at most 24"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named_with_its_line(
    faults_of: Faults, tmp_path: Path, text: str, fault: str
) -> None:
    outside = str(tmp_path.resolve().parent.parent)

    assert faults_of(APP + text) == [fault.replace("{outside}", outside)]


@pytest.mark.parametrize(
    "text",
    [
        f'{WEB}[services.b]\ncommand = "x {{socket}}"\nroute = ["/b"]\n',
        '[services.a]\ncommand = "x \'{{\\"json\\": 1}}\'"\n',
        f'[services.{LONG}]\ncommand = "x {{port}}"\nroute = ["/"]\n',
        '[services.a]\nstatic = "not/built/yet"\n',
        '[services.a]\ncommand = "sh -c \\"a && b\\""\n',
        '[environments.a]\ntarget = "local"\n[environments.b]\ntarget = "local"\n',
        '[environments.a]\ntarget = "local"\ndatabase_url = "env:A_URL"\n',
    ],
)
def test_a_right_description_has_no_fault(load: Load, text: str) -> None:
    load(APP + text)


@pytest.mark.parametrize(
    ("root", "fault"),
    [
        ("none", "names a folder that does not exist: none"),
        ("..", "leaves the project: {outside}"),
        ("link", "leaves the project: /"),
        ("x" * 300, "names a folder that cannot be read: File name too long"),
        ("loop", "names a folder that cannot be read: "),
    ],
)
def test_a_wrong_root_hides_no_faults_of_paths_below_it(
    faults_of: Faults, tmp_path: Path, root: str, fault: str
) -> None:
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "loop").symlink_to("loop")
    text = f'[app]\nname = "a"\nroot = "{root}"\n[python]\nrequirements = "none"\n[environments.development]\ntarget = "local"'

    (found,) = faults_of(text)

    expected = fault.replace("{outside}", str(tmp_path.resolve().parent))
    assert found.startswith(f"ops.toml:3: app.root {expected}")


def test_a_path_may_leave_the_application_but_not_the_project(
    load: Load, faults_of: Faults, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "requirements.txt").touch()
    text = '[app]\nname = "a"\nroot = "app"\n[environments.development]\ntarget = "local"\n[python]\n'

    load(f'{text}requirements = "../requirements.txt"\n')

    outside = tmp_path.resolve().parent / "x"
    assert faults_of(f'{text}requirements = "../../x"\n') == [
        f"ops.toml:7: python.requirements leaves the project: {outside}"
    ]


def test_a_secret_that_was_written_down_is_not_repeated(faults_of: Faults) -> None:
    text = f'{APP}{WEB}secrets = {{ A = "hunter2-hunter2", B = 12345678 }}\n'
    text += '[environments.x]\ntarget = "local"\ndatabase_url = "postgres://u:hunter2@h/d"\n'

    found = "\n".join(faults_of(text))

    assert found.count("\n") == 2
    assert "hunter2" not in found and "12345678" not in found


def test_all_faults_come_at_once(faults_of: Faults) -> None:
    text = (
        '[app]\nname = "Shop"\ndefault_environment = "devlopment"\n'
        '[python]\nrequirements = "none"\n'
        '[services.a]\ncomand = "x"\ndirectory = ".."\n'
        '[services.b]\ncommand = "x {prt}"\nport = 8000\nstop_timeout = "x"\nsecrets = { A = "b" }\n'
        '[environments.development]\ntarget = "lokal"\nport = 8000\n'
    )

    found = [fault.split()[0:2] for fault in faults_of(text, environ={"DRY_RUN": "maybe"})]

    assert found == [
        ["DRY_RUN", "is"],
        ["ops.toml:2:", "app.name"],
        ["ops.toml:3:", "app.default_environment"],
        ["ops.toml:5:", "python.requirements"],
        ["ops.toml:7:", "services.a.comand"],
        ["ops.toml:8:", "services.a.directory"],
        ["ops.toml:10:", "services.b.command"],
        ["ops.toml:12:", "services.b.stop_timeout"],
        ["ops.toml:13:", "services.b.secrets.A"],
        ["ops.toml:15:", "environments.development.target"],
        ["ops.toml:16:", "environments.development.port"],
    ]
