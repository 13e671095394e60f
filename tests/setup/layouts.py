"""Repositories as teams have them, each as a few files."""

from __future__ import annotations

import json
from pathlib import Path

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
VITE = json.dumps(
    {"scripts": {"dev": "vite", "build": "vite build"}, "devDependencies": {"vite": "^7"}}
)


def make(folder: Path, files: dict[str, str]) -> Path:
    """Write files below a new folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


FULL_STACK = {
    "docker-compose.yml": """
services:
  db:
    image: postgres:17
    environment: {POSTGRES_DB: app, POSTGRES_PASSWORD: "${POSTGRES_PASSWORD?}"}
  adminer: {image: adminer}
  backend:
    build: {context: ./backend}
    env_file: .env
    ports: ["8000:8000"]
    environment:
      - DATABASE_URL=postgresql+psycopg://app:hunter22@db:5432/app
      - SECRET_KEY=${SECRET_KEY?Variable not set}
      - LOG_LEVEL=${LOG_LEVEL:-info}
      - CACHE=redis://cache:6379/0
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8000/api/v1/utils/health-check/"]
  cache: {image: "redis:7"}
  worker:
    build: ./backend
    command: celery -A app.jobs worker
  frontend: {build: ./frontend, ports: ["5173:80"]}
""",
    "backend/Dockerfile": 'FROM python:3.13 AS base\nCMD ["fastapi", "run", "--workers", "4", "app/main.py"]\n',
    "backend/requirements.txt": "fastapi==1.0\nuvicorn==0.40\npsycopg==3.2\n",
    "backend/alembic.ini": "[alembic]\nscript_location = app/alembic\n",
    "backend/app/__init__.py": "",
    "backend/app/main.py": FASTAPI + "app.include_router(api, prefix='/api/v1')\n",
    "frontend/Dockerfile": "FROM node:24 AS build\nRUN npm ci\nFROM nginx:1\nCOPY --from=build /app/dist /html\n",
    "frontend/package.json": VITE,
    "frontend/package-lock.json": "{}",
}
DJANGO = {
    "Procfile": "release: python manage.py migrate\nweb: gunicorn site1.wsgi --log-file -\n"
    "worker: python manage.py rqworker\n",
    "manage.py": "",
    "requirements.txt": "Django>=5\ngunicorn\npsycopg2-binary\n",
    "site1/__init__.py": "",
    "site1/settings.py": "import os\nDATABASE = os.environ['DATABASE_URL']\n"
    "SECRET_KEY = os.environ['DJANGO_SECRET_KEY']\n",
    "site1/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    "site1/asgi.py": "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n",
    "site1/urls.py": "from django.urls import path\nurlpatterns = [path('healthz', ok)]\n",
}
FLASK_FACTORY = {
    "Dockerfile": "FROM python:3.12\nENV X=1\nEXPOSE 5000\nHEALTHCHECK CMD curl http://127.0.0.1:5000/ready\n"
    'ENTRYPOINT ["./entry.sh"]\nCMD ["gunicorn", "-w", "4", "-b", "0.0.0.0:5000", "web:create_app()"]\n',
    "requirements.txt": "flask==3.1 --hash=sha256:00\ngunicorn==23.0 --hash=sha256:00\n",
    "web/__init__.py": "from flask import Flask\ndef create_app():\n    app = Flask(__name__)\n    return app\n",
}
UV_ONLY = {
    "uv.lock": "version = 1\n",
    "pyproject.toml": "[project]\nname = 'svc'\ndependencies = ['fastapi', 'uvicorn', 'asyncpg']\n",
    "alembic.ini": "[alembic]\nscript_location = migrations\n",
    "app/main.py": "from app.db import x\n" + FASTAPI + "@app.get('/healthz')\ndef health(): ...\n",
}
NEXT = {
    "package.json": json.dumps(
        {
            "name": "web",
            "scripts": {"dev": "next dev", "build": "next build"},
            "dependencies": {"next": "16"},
        }
    ),
    "pnpm-lock.yaml": "lockfileVersion: 9\n",
}
NEXT_EXPORT_SUPABASE = {
    **NEXT,
    "next.config.mjs": "export default { output: 'export' }\n",
    "supabase/migrations/20240101000000_init.sql": "create table a (id int);\n",
    "supabase/migrations/20240201000000_more.sql": "create table b (id int);\n",
    "supabase/seed.sql": "insert into a values (1);\n",
}
EXPRESS = {
    "package.json": json.dumps(
        {"scripts": {"start": "node server.js"}, "dependencies": {"express": "5"}}
    ),
    "package-lock.json": "{}",
}
TWO_APIS = {
    "services/users/main.py": FASTAPI
    + "@app.get('/users')\ndef f(): ...\n@app.get('/health')\ndef g(): ...\n",
    "services/bills/main.py": FASTAPI + "@app.get('/bills')\ndef f(): ...\n",
    "requirements.txt": "fastapi==1\nuvicorn==1\n",
}
SRC_HYPERCORN = {
    "pyproject.toml": "[project]\nname = 'thing'\n[build-system]\nrequires = []\n",
    "requirements/base.txt": "starlette==1\nhypercorn==0.17\n",
    "requirements/dev.txt": "pytest\n",
    "src/thing/__init__.py": "",
    "src/thing/asgi.py": "from starlette.applications import Starlette\napplication: Starlette = Starlette()\n",
    "src/thing/consumer.py": "if __name__ == '__main__':\n    run()\n",
    "tests/app.py": FASTAPI,
    "chart/Chart.yaml": "name: thing\n",
    "chart/values.yaml": "web:\n  readinessProbe: {httpGet: {path: /ops/ready}}\n",
}
BROKEN = {
    "docker-compose.yml": "services:\n  web: [unclosed\n",
    "package.json": '{"scripts": \n  {,}}',
    "pyproject.toml": "[project\n",
    "app.py": "app = FastAPI(\n",
    "Procfile": 'web: python "open\n',
    "backend/main.py": FASTAPI,
    "backend/requirements.txt": "fastapi\nuvicorn\n",
}
