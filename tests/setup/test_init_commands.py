"""Commands of containers and Procfiles become commands of ops.toml."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ops.kernel.settings.values import command_words
from ops.setup.init.commands import convert, module_of


@pytest.mark.parametrize(
    ("given", "command", "port"),
    [
        ("uvicorn a:b --host 0.0.0.0 --port 8000 --reload", "uvicorn a:b --uds {socket}", 8000),
        (
            ["python", "-m", "uvicorn", "a.b:c", "--port=90"],
            "python -m uvicorn a.b:c --uds {socket}",
            90,
        ),
        (
            "gunicorn app.wsgi -b 0.0.0.0:$PORT -w 4",
            "gunicorn app.wsgi -w 4 --bind unix:{socket}",
            None,
        ),
        (
            "gunicorn 'x:create_app()' --bind=:5000",
            "gunicorn 'x:create_app()' --bind unix:{socket}",
            5000,
        ),
        ("FOO=1 poetry run gunicorn x", "env FOO=1 gunicorn x --bind unix:{socket}", None),
        ("uv run --no-sync hypercorn a:b -b [::]:80", "hypercorn a:b --bind unix:{socket}", 80),
        ("daphne -b 0.0.0.0 -p 8001 a:b", "daphne a:b -u {socket}", 8001),
        ("fastapi run main.py --port 80", "fastapi run main.py --host 127.0.0.1 --port {port}", 80),
        (
            "granian --interface asgi a:b",
            "granian --interface asgi a:b --host 127.0.0.1 --port {port}",
            None,
        ),
        ("sh -c 'exec node server.js --port ${PORT:-3000}'", "node server.js --port {port}", 3000),
        (
            "tini -- python manage.py runserver 0.0.0.0:8000",
            "python manage.py runserver 127.0.0.1:{port}",
            8000,
        ),
        ("next start -p 3000", "next start -p {port}", 3000),
        ("serve --listen 0.0.0.0 dist", "serve --listen 127.0.0.1 dist", None),
        ("celery -A app worker", "celery -A app worker", None),
        ("run '{json}'", "run {{json}}", None),
        ("", "", None),
    ],
)
def test_a_command_listens_where_invops_wants_it(
    given: str | Sequence[str], command: str, port: int | None
) -> None:
    made = convert(given)
    assert (made.command, made.port) == (command, port)
    assert not made.command or command_words(made.command)


@pytest.mark.parametrize(
    ("given", "doubt"),
    [
        ('echo "', "open quote"),
        ("sh -c 'alembic upgrade head && uvicorn a:b'", "it ran `alembic upgrade head` first"),
        ("worker --queue $QUEUE", "$QUEUE needs a shell"),
    ],
)
def test_what_cannot_be_carried_over_is_a_doubt(given: str, doubt: str) -> None:
    assert any(doubt in each for each in convert(given).doubts)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("uvicorn app.main:app --uds {socket}", "app.main"),
        ("gunicorn 'web:create_app()' -w 4", "web"),
        ("python -m shop.worker", "shop.worker"),
        ("python -m uvicorn a.b:c --uds {socket}", "a.b"),
        ("npm start", ""),
        ("serve 127.0.0.1:{port}", ""),
    ],
)
def test_module_of_a_command(command: str, module: str) -> None:
    assert module_of(command) == module
