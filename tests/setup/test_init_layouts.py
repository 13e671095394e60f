"""What `invops init` proposes for repositories as teams have them, read back by the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.kernel import settings
from ops.kernel.settings.models import Settings
from ops.setup.init import proposal
from ops.setup.init.proposal import Proposal
from tests.setup import layouts


def proposed(folder: Path) -> tuple[Proposal, Settings]:
    made = proposal.make(folder)
    (folder / "ops.toml").write_text(made.content)
    return made, settings.load(start=folder, environ={})


def service(loaded: Settings, name: str) -> dict[str, Any]:
    return loaded.services[name].model_dump(mode="json")


CASES: dict[str, tuple[dict[str, str], dict[str, dict[str, Any]]]] = {
    "full stack": (
        layouts.FULL_STACK,
        {
            "backend": {
                "directory": "backend",
                "command": "fastapi run --workers 4 app/main.py --host 127.0.0.1 --port {port}",
                "development": "uvicorn app.main:app --reload --port {port}",
                "port": 8000,
                "route": ["/api"],
                "health": "/api/v1/utils/health-check/",
                "environment": {"LOG_LEVEL": "info", "CACHE": "redis://127.0.0.1:6379/0"},
                "secrets": {"SECRET_KEY": "env:SECRET_KEY"},
            },
            "worker": {
                "directory": "backend",
                "command": "celery -A app.jobs worker",
                "port": None,
            },
            "frontend": {
                "static": "dist",
                "build": ["npm ci", "npm run build"],
                "route": ["/"],
                "port": 5173,
            },
        },
    ),
    "django": (
        layouts.DJANGO,
        {
            "web": {
                "command": "gunicorn site1.wsgi --log-file - --bind unix:{socket}",
                "development": "python manage.py runserver 127.0.0.1:{port}",
                "health": "/healthz",
                "route": ["/"],
            },
            "worker": {"command": "python manage.py rqworker"},
        },
    ),
    "flask factory": (
        layouts.FLASK_FACTORY,
        {
            "web": {
                "command": "gunicorn -w 4 'web:create_app()' --bind unix:{socket}",
                "development": "flask --app web run --debug --port {port}",
                "port": 5000,
                "health": "/ready",
            }
        },
    ),
    "uv lock only": (
        layouts.UV_ONLY,
        {
            "web": {
                "command": "uvicorn app.main:app --uds {socket}",
                "health": "/healthz",
                "directory": ".",
            }
        },
    ),
    "next server": (
        layouts.NEXT,
        {
            "frontend": {
                "command": "npx next start --hostname 127.0.0.1 --port {port}",
                "build": ["pnpm install --frozen-lockfile", "pnpm run build"],
                "development": "pnpm run dev --port {port}",
                "static": None,
                "port": 3000,
            }
        },
    ),
    "next export and supabase": (
        layouts.NEXT_EXPORT_SUPABASE,
        {"frontend": {"static": "out", "command": ""}},
    ),
    "express": (
        layouts.EXPRESS,
        {"web": {"command": "env PORT={port} npm start", "build": ["npm ci"], "port": 3000}},
    ),
    "two apis": (
        layouts.TWO_APIS,
        {
            "bills": {
                "directory": "services/bills",
                "command": "uvicorn main:app --uds {socket}",
                "port": 8000,
            },
            "users": {"directory": "services/users", "port": 8001, "route": ["/users", "/health"]},
        },
    ),
    "src layout and hypercorn": (
        layouts.SRC_HYPERCORN,
        {
            "web": {
                "directory": ".",
                "command": "hypercorn --bind unix:{socket} thing.asgi:application",
                "health": "/ops/ready",
            },
            "consumer": {"command": "python -m thing.consumer"},
        },
    ),
    "broken files": (
        layouts.BROKEN,
        {"web": {"directory": "backend", "command": "uvicorn main:app --uds {socket}"}},
    ),
    "nothing": ({"README.md": "# hello\n"}, {}),
}


@pytest.mark.parametrize(("files", "expected"), CASES.values(), ids=CASES)
def test_services_are_what_the_repository_says(
    tmp_path: Path, files: dict[str, str], expected: dict[str, dict[str, Any]]
) -> None:
    made, loaded = proposed(layouts.make(tmp_path, files))
    assert set(loaded.services) == set(expected), made.content
    for name, values in expected.items():
        found = service(loaded, name)
        assert {key: found[key] for key in values} == values


@pytest.mark.parametrize(
    ("files", "requirements", "packages", "migrations", "variable"),
    [
        (
            layouts.FULL_STACK,
            "backend/requirements.txt",
            [],
            ("alembic", "backend/alembic.ini"),
            "DATABASE_URL",
        ),
        (layouts.DJANGO, "requirements.txt", [], None, "DATABASE_URL"),
        (layouts.NEXT_EXPORT_SUPABASE, None, [], ("sql", "supabase/migrations"), "DATABASE_URL"),
        (layouts.UV_ONLY, None, [], None, "DATABASE_URL"),
        (layouts.SRC_HYPERCORN, "requirements/base.txt", ["."], None, None),
        (layouts.NEXT, None, [], None, None),
    ],
)
def test_dependencies_database_and_migrations(
    tmp_path: Path,
    files: dict[str, str],
    requirements: str | None,
    packages: list[str],
    migrations: tuple[str, str] | None,
    variable: str | None,
) -> None:
    _, loaded = proposed(layouts.make(tmp_path, files))
    python, found = loaded.python, loaded.migrations
    assert (str(python.requirements) if python else None) == requirements
    assert ([str(each) for each in python.packages] if python else []) == packages
    assert ((found.kind, str(found.path)) if found else None) == migrations
    assert (loaded.database.variable if loaded.database else None) == variable


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (layouts.FULL_STACK, "DATABASE_URL begins with postgresql+psycopg://"),
        (layouts.FULL_STACK, "env_file"),
        (
            layouts.FULL_STACK,
            "set before a deploy, or change the references in `secrets`: SECRET_KEY",
        ),
        (layouts.FULL_STACK, "backend/requirements.txt has no hashes"),
        (layouts.DJANGO, "DJANGO_SECRET_KEY"),
        (layouts.DJANGO, "python manage.py migrate"),
        (layouts.UV_ONLY, "uv export --frozen"),
        (layouts.NEXT, "pnpm builds services.frontend"),
        (layouts.EXPRESS, "on the port in PORT?"),
        ({"README.md": ""}, "nothing here says how the application is started"),
        ({"V1__a.sql": "", "x/compose.yaml": "services: {db: {image: postgis/postgis}}"}, "Flyway"),
        ({"compose.yaml": "services: {db: {image: postgis/postgis}}"}, "own extensions only"),
        ({"db/1_a.up.sql": "", "db/1_a.down.sql": ""}, "files that undo"),
        ({"compose.yaml": "services: {a: {build: ../x}}"}, "outside of this repository"),
        ({"compose.yaml": "services: {a: {build: .}}"}, "which command starts it?"),
        ({"schema.prisma": ""}, "npx prisma migrate deploy"),
    ],
)
def test_what_is_left_to_decide_is_said(tmp_path: Path, files: dict[str, str], said: str) -> None:
    made, _ = proposed(layouts.make(tmp_path, files))
    assert any(said in each for each in made.decisions), made.decisions


def test_no_secret_of_the_repository_is_copied(tmp_path: Path) -> None:
    made = proposal.make(layouts.make(tmp_path, layouts.FULL_STACK))
    assert "hunter22" not in str(made)


def test_broken_files_are_named_with_their_line_and_the_rest_is_read(tmp_path: Path) -> None:
    made, _ = proposed(layouts.make(tmp_path, layouts.BROKEN))
    places = {each.place for each in made.unread}
    assert places == {"docker-compose.yml:3", "package.json:2", "pyproject.toml:1", "app.py:1"}
    assert any("open quote" in each for each in made.decisions)


def test_everything_found_says_where_and_what_becomes_of_it(tmp_path: Path) -> None:
    made = proposal.make(layouts.make(tmp_path, layouts.FULL_STACK))
    rows = {(each.found, each.where): each.becomes for each in made.findings}
    assert rows["PostgreSQL (postgres:17)", "docker-compose.yml: db"] == "[database]"
    assert rows["Compose service backend", "docker-compose.yml: backend"] == "[services.backend]"
    assert rows["Vite front end", "frontend/package.json"] == "[services.frontend] build, static"
    assert rows["cache (redis:7)", "docker-compose.yml: cache"].startswith("nothing")


def test_tests_examples_and_dependencies_are_passed_over(tmp_path: Path) -> None:
    files = {
        f"{each}/main.py": layouts.FASTAPI
        for each in ("tests", "node_modules/x", "examples", ".venv/lib")
    }
    env = {"env/pyvenv.cfg": "", "env/lib/main.py": layouts.FASTAPI}
    made = proposal.make(layouts.make(tmp_path, {**files, **env}))
    assert made.services == ()
