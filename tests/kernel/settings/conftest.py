from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ops.kernel import redact, settings
from ops.kernel.settings.faults import WrongSettings
from ops.kernel.settings.models import Settings

SMALLEST = '[app]\nname = "shop"\n[environments.development]\ntarget = "local"\n'

Load = Callable[..., Settings]
Faults = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def _forget_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no secret of a test in the redactor of the process."""
    monkeypatch.setattr(redact.CENTRAL, "_forms", ())


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write an ops.toml into an empty project, go there and read it."""
    monkeypatch.chdir(tmp_path)

    def load(
        text: str = SMALLEST, environment: str = "", environ: Mapping[str, str] | None = None
    ) -> Settings:
        (tmp_path / "ops.toml").write_text(text)
        return settings.load(environment, environ=environ or {})

    return load


@pytest.fixture
def faults_of(load: Load) -> Faults:
    """Return what is wrong with an ops.toml, one text for each fault."""

    def faults_of(*arguments: object, **more: object) -> list[str]:
        with pytest.raises(WrongSettings) as caught:
            load(*arguments, **more)
        return [str(fault) for fault in caught.value.faults]

    return faults_of
