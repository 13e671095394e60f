"""Where files of the repository lie on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.deploy.compose.files import place
from ops.deploy.compose.model import Model
from ops.kernel.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "releases" / "r1" / "app"
    made.mkdir(parents=True)
    return made


def model(folder: Path, *sources: str, **sections: Any) -> Model:
    volumes = [{"type": "bind", "source": source, "target": "/x"} for source in sources]
    services = {"web": {"image": "a", "volumes": volumes}}
    return Model({"name": "p", "services": services, **sections}, folder)


def placed(folder: Path, name: str) -> str:
    source = str(folder / name)
    return str(place(model(folder, source), {}).paths[source])


def test_a_file_lies_under_the_hash_of_its_content(folder: Path) -> None:
    (folder / "a.conf").write_text("one")
    first = placed(folder, "a.conf")
    (folder / "a.conf").touch()
    assert placed(folder, "a.conf") == first
    (folder / "a.conf").write_text("two")
    assert placed(folder, "a.conf") != first
    assert first.startswith("files/") and first.endswith("/a.conf")


def test_a_folder_lies_under_the_hash_of_all_in_it(folder: Path) -> None:
    (folder / "conf" / "deep").mkdir(parents=True)
    (folder / "conf" / "a").write_text("a")
    (folder / "conf" / "deep" / "b").write_text("b")
    first = placed(folder, "conf")
    (folder / "conf" / "deep" / "b").rename(folder / "conf" / "deep" / "c")
    second = placed(folder, "conf")
    (folder / "conf" / "a").chmod(0o755)
    assert len({first, second, placed(folder, "conf")}) == 3
    uploads = place(model(folder, str(folder / "conf")), {}).uploads
    names = {str(each.path.relative_to(placed(folder, "conf"))): each.mode for each in uploads}
    assert names == {"a": 0o555, "deep/c": 0o444}


@pytest.mark.parametrize("keeper", ["", ".gitkeep", ".gitignore"])
def test_data_of_the_host_stays_where_it_is_for_every_release(folder: Path, keeper: str) -> None:
    if keeper:
        (folder / "data").mkdir()
        (folder / "data" / keeper).write_text("")
    assert placed(folder, "data") == "shared/data"


def test_paths_of_the_host_itself_are_left_alone(folder: Path) -> None:
    assert place(model(folder, "/etc/localtime", "/var/run/docker.sock"), {}).paths == {}


def test_a_dollar_in_a_path_is_read_as_compose_means_it(folder: Path) -> None:
    (folder / "a$b").write_text("x")
    source = f"{folder}/a$$b"
    found = place(model(folder, source), {})
    assert list(found.paths) == [f"{folder}/a$b"]
    assert found.uploads[0].source == folder / "a$b"


@pytest.mark.parametrize("path", ["../data", "../../data"])
def test_a_path_outside_of_the_project_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match="outside"):
        place(model(folder, str((folder / path).resolve())), {})


def test_a_secret_without_its_variable_is_refused(folder: Path) -> None:
    found = model(
        folder, secrets={"key": {"environment": "API_KEY"}, "of_build": {"environment": "NPM"}}
    )
    found.services["web"]["secrets"] = [{"source": "key"}]  # type: ignore[index]
    with pytest.raises(ConfigurationError, match=r"secret key .* API_KEY, which is not set"):
        place(found, {})
    (upload,) = place(found, {"API_KEY": "value"}).uploads
    assert (upload.content, upload.path.name) == (b"value", "key")
    assert "value" not in repr(upload)
