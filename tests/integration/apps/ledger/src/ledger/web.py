"""The API: `gunicorn ledger.web:app`."""

from __future__ import annotations

import os
import time

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from psycopg import Error
from psycopg_pool import ConnectionPool

app = Flask(__name__)
# Closed until the first request: gunicorn imports this module before it forks its workers.
pool = ConnectionPool(os.environ["LEDGER_DSN"], min_size=1, max_size=8, timeout=5, open=False)


@app.post("/entries")
def add() -> ResponseReturnValue:
    """Store an entry; `hold` seconds first, so that a test can have a request in flight."""
    body = request.get_json(silent=True) or {}
    pool.open()
    time.sleep(min(max(request.args.get("hold", 0.0, type=float), 0.0), 10.0))
    statement = "INSERT INTO entry (account, cents, memo) VALUES (%s, %s, %s) RETURNING id"
    values = (body.get("account", "cash"), body.get("cents", 100), body.get("memo"))
    with pool.connection() as connection:
        row = connection.execute(statement, values).fetchone()
    return jsonify(id=row[0] if row else None), 201


@app.get("/entries/count")
def count() -> ResponseReturnValue:
    """Answer how many entries there are."""
    pool.open()
    with pool.connection() as connection:
        row = connection.execute("SELECT count(*) FROM entry").fetchone()
    return jsonify(count=row[0] if row else 0)


@app.get("/ops/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 with the running build when the table is there, else 503."""
    build = os.environ.get("RELEASE", "")
    pool.open()
    try:
        with pool.connection(timeout=2) as connection:
            connection.execute("SELECT 1 FROM entry LIMIT 1")
    except Error:
        return jsonify(build=build, ok=False), 503
    return jsonify(build=build, ok=True)
