"""What Python sources say: applications, routes, health, variables; and the samples as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ops.kernel import settings
from ops.kernel.settings.models import Settings
from ops.setup.init import code, places, proposal
from ops.setup.init.repository import Repository
from tests.architecture.sources import ROOT
from tests.setup import layouts

LEDGER = ROOT / "tests" / "integration" / "apps" / "ledger"
SAMPLES = {"shop": (ROOT, ROOT / "examples" / "shop"), "ledger": (LEDGER, LEDGER)}


def scan(folder: Path, **files: str) -> code.Code:
    named = {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
    return code.scan(Repository(layouts.make(folder, named)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app = FastAPI()", [("app", "asgi", "FastAPI", False)]),
        ("api: Starlette = starlette.Starlette()", [("api", "asgi", "Starlette", False)]),
        ("def create_app():\n    return Flask('x')", [("create_app", "wsgi", "Flask", True)]),
        (
            "def create_app():\n    return Flask('x')\napp = create_app()",
            [("app", "wsgi", "Flask", False)],
        ),
        ("application = get_wsgi_application()", [("application", "wsgi", "Django", False)]),
        ("a, b = Flask(), 1\nx.y = Flask()\nself = other()", []),
        ("def helper():\n    app = Flask()", []),
    ],
)
def test_application_objects(
    tmp_path: Path, text: str, expected: list[tuple[str, str, str, bool]]
) -> None:
    found = scan(tmp_path, main=text).applications
    assert [(each.name, each.kind, each.title, each.factory) for each in found] == expected


def test_a_factory_of_another_module_makes_the_object(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        factory="def make_app():\n    return FastAPI()\n",
        main="from factory import make_app\nserver = make_app()\n",
    )
    assert [(each.name, each.framework) for each in found.applications] == [
        ("server", "FastAPI"),
        ("make_app", "FastAPI"),
    ]


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("@app.get('/a')\ndef f(): ...", ["/a"]),
        ("Route('/a', f), Mount('/b', g)", ["/a", "/b"]),
        ("r = APIRouter(prefix='/api/')\n@r.post('/x')\ndef f(): ...", ["/api/x"]),
        ("b = Blueprint('n', url_prefix='/b')\n@b.route('/y')\ndef f(): ...", ["/b/y"]),
        ("urls = [path('admin/', f), path('', g)]", ["/admin/"]),
        ("requests.get('http://x'); d.get('key')", []),
    ],
)
def test_routes(tmp_path: Path, text: str, routes: list[str]) -> None:
    assert [each.what for each in scan(tmp_path, main=text).routes] == routes


@pytest.mark.parametrize(
    ("route", "is_health"),
    [
        *[
            (each, True)
            for each in (
                "/health",
                "/healthz",
                "/api/v1/health/ready",
                "/ops/livez",
                "/ping",
                "/ready/",
            )
        ],
        *[(each, False) for each in ("/healthy-food", "/orders/ready-made", "/pings", "/")],
    ],
)
def test_health_routes(tmp_path: Path, route: str, is_health: bool) -> None:
    found = scan(tmp_path, main=f"@app.get({route!r})\ndef f(): ...\n")
    assert [each.what for each in found.health] == ([route] if is_health else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os.environ['A_B']", [("A_B", True)]),
        ("os.environ.get('AB', 'x'); os.getenv('CD')", [("AB", False), ("CD", False)]),
        (
            "environ['AB']; getenv('CD'); env.url('EF')",
            [("AB", True), ("CD", False), ("EF", False)],
        ),
        ("class S(BaseSettings):\n    a_b: str\n    c: int = 1\n", [("A_B", True), ("C", False)]),
        (
            "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='X_')\n    ab: str\n",
            [("X_AB", True)],
        ),
        (
            "class S(BaseSettings):\n    ab: str\n    class Config:\n        env_prefix = 'Y_'\n",
            [("Y_AB", True)],
        ),
        ("os.environ[name]; config('lower')", []),
    ],
)
def test_variables(tmp_path: Path, text: str, expected: list[tuple[str, bool]]) -> None:
    found = scan(tmp_path, main=text).variables
    assert [(each.what, each.required) for each in found] == expected


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        ("main", "async def health():\n    return {'version': v, 'ok': True}", ["version"]),
        ("main", "def ready():\n    return jsonify(build=1, ok=2)", ["build"]),
        ("main", "def other():\n    return {'version': v}  # health", []),
        ("health", "class R:\n    def json(self):\n        return {'release': 1}", ["release"]),
    ],
)
def test_keys_of_health_answers(tmp_path: Path, name: str, text: str, keys: list[str]) -> None:
    assert [each.what for each in scan(tmp_path, **{name: text}).version_keys] == keys


def test_workers_have_a_name_and_a_main_guard(tmp_path: Path) -> None:
    guard = "if __name__ == '__main__':\n    main()\n"
    files = {"worker.py": "x = 1", "a/worker.py": guard, "mail_worker.py": guard, "main.py": guard}
    package = {"jobs/consumer/__main__.py": guard}
    found = code.scan(Repository(layouts.make(tmp_path, {**files, **package})))
    workers = [str(each) for each in found.workers]
    assert workers == ["mail_worker.py", "a/worker.py", "jobs/consumer/__main__.py"]


@pytest.mark.parametrize(
    ("files", "path", "directory", "module", "package"),
    [
        ({"a/__init__.py": "", "a/b.py": ""}, "a/b.py", ".", "a.b", None),
        ({"back/a/__init__.py": "", "back/a/b.py": ""}, "back/a/b.py", "back", "a.b", None),
        ({"a/b.py": ""}, "a/b.py", "a", "b", None),
        ({"a/b.py": "from a.c import d\n"}, "a/b.py", ".", "a.b", None),
        ({"src/a/__init__.py": "", "pyproject.toml": ""}, "src/a/__init__.py", ".", "a", "."),
        ({"src/a/__init__.py": ""}, "src/a/__init__.py", "src", "a", None),
        ({"x/src/b.py": "", "x/setup.py": ""}, "x/src/b.py", "x", "b", "x"),
    ],
)
def test_places_of_modules(
    tmp_path: Path,
    files: dict[str, str],
    path: str,
    directory: str,
    module: str,
    package: str | None,
) -> None:
    repository = Repository(layouts.make(tmp_path, files))
    place = places.of(repository, next(each for each in repository.files if str(each) == path))
    found = (str(place.directory), place.module, place.package and str(place.package))
    assert found == (directory, module, package)


def test_the_sample_is_described_as_its_own_file_does(tmp_path: Path) -> None:
    real, made = described("shop", tmp_path)
    keys = [
        "directory",
        "command",
        "development",
        "port",
        "route",
        "health",
        "live",
        "health_version",
        "build",
        "static",
    ]
    assert set(made.services) == set(real.services)
    for name, service in real.services.items():
        assert {key: getattr(made.services[name], key) for key in keys} == {
            key: getattr(service, key) for key in keys
        }
    assert (made.python, made.migrations, made.database) == (
        real.python,
        real.migrations,
        real.database,
    )


def test_the_second_application_lacks_nothing_of_its_own_file(tmp_path: Path) -> None:
    real, made = described("ledger", tmp_path)
    (web,), (api,) = made.services.values(), real.services.values()
    assert (web.directory, web.development) == (api.directory, api.development)
    assert (web.health, web.health_version) == (api.health, api.health_version)
    assert made.app.version_variable == real.app.version_variable
    assert (made.python, made.migrations, made.database) == (
        real.python,
        real.migrations,
        real.database,
    )


def described(name: str, tmp_path: Path) -> tuple[Settings, Settings]:
    """Return the settings of a sample's own ops.toml, and those of the proposal."""
    own, folder = SAMPLES[name]
    left_out = shutil.ignore_patterns("node_modules", "dist", "ops.toml", "__pycache__")
    copy = shutil.copytree(folder, tmp_path / name, ignore=left_out)
    (copy / "ops.toml").write_text(proposal.make(copy).content)
    return settings.load(start=own, environ={}), settings.load(start=copy, environ={})
