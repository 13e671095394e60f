"""Faults that only show when sections are compared; wrong/contradictions.txt has a table of them."""

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
    "text",
    [
        f'{WEB}[services.b]\ncommand = "x {{socket}}"\nroute = ["/b"]\n',
        '[services.a]\ncommand = "x \'{{\\"json\\": 1}}\'"\n',
        f'[services.{LONG}]\ncommand = "x {{port}}"\nport = 9\n',
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
    text = f'[app]\nname = "a"\nroot = "{root}"\n[python]\nrequirements = "none"\n'

    (found,) = faults_of(text + '[environments.development]\ntarget = "local"\n')

    expected = fault.replace("{outside}", str(tmp_path.resolve().parent))
    assert found.startswith(f"ops.toml:3: app.root {expected}")


def test_a_path_may_leave_the_application_but_not_the_project(
    load: Load, faults_of: Faults, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "requirements.txt").touch()
    text = (
        '[app]\nname = "a"\nroot = "app"\n[environments.development]\ntarget = "local"\n[python]\n'
    )

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
