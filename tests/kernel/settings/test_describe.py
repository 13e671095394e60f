from __future__ import annotations

from collections.abc import Callable

from ops.kernel import redact
from ops.kernel.settings import describe
from ops.kernel.settings.models import Settings

Load = Callable[..., Settings]

TEXT = """\
[app]
name = "shop"
default_environment = "local"
[services.web]
command = "serve {port}"
port = 8000
stop_timeout = "2m"
environment = { GREETING = "hello there" }
secrets = { KEY = "env:KEY" }
[environments.local]
target = "local"
[environments.other]
target = "local"
"""


def _of(settings: Settings) -> dict[str, tuple[describe.JsonValue, str]]:
    return {each.key: (each.value, str(each.source)) for each in describe.values(settings)}


def test_each_value_has_its_source(load: Load) -> None:
    url = {"DATABASE_URL": "postgresql://anna:open-sesame@db:5433/shop"}

    found = _of(load(TEXT + '[database]\nengine = "postgres"\n', environ=url))

    assert found["app.name"] == ("shop", "ops.toml:2")
    assert found["services.web.port"] == (8000, "ops.toml:6")
    assert found["services.web.stop_timeout"] == (120.0, "ops.toml:7")
    assert found["services.web.environment.GREETING"] == ("hello there", "ops.toml:8")
    assert found["services.web.secrets.KEY"] == ("env:KEY", "ops.toml:9")
    assert found["services.web.health"] == ("/", "default")
    assert found["services.web.route"] == (["/"], "default")
    assert found["services.web.static"] == (None, "default")
    assert found["database.name"] == ("shop", "default")
    assert found["environments.local.database_url"] == (
        "env:DATABASE_URL",
        "variable DATABASE_URL",
    )
    assert found["options.database_url"] == (
        "postgresql://anna:***@db:5433/shop",
        "variable DATABASE_URL",
    )


def test_other_environments_and_the_surroundings_are_left_out(load: Load) -> None:
    keys = _of(load(TEXT)).keys()

    assert not [key for key in keys if key.startswith(("environments.other", "folder", "sources"))]


def test_a_key_is_masked_whole(load: Load) -> None:
    found = _of(load(TEXT, environ={"SUPABASE_SERVICE_KEY": "abcdef-key"}))

    assert found["options.supabase_service_key"] == ("***", "variable SUPABASE_SERVICE_KEY")


def test_a_secret_that_stands_in_a_plain_value_is_masked(load: Load) -> None:
    redact.CENTRAL.add("hello there")

    assert _of(load(TEXT))["services.web.environment.GREETING"] == ("***", "ops.toml:8")
