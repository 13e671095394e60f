"""The backend: `uvicorn shop.app:app`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop import health, logs, orders, settings
from shop.database import connect_arguments, sqlalchemy_url
from shop.requests import ORDERS, Observed

LONGEST_SLOW_SECONDS = 30.0
log = logging.getLogger("shop")


async def create_order(request: Request) -> JSONResponse:
    """Place an order: 201, or 200 when its `client_id` was placed before."""
    body = await request.body()
    try:
        order = orders.NewOrder.parse(json.loads(body) if body else {})
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return JSONResponse({"error": "send a JSON object"}, 400)
    except orders.Invalid as error:
        return JSONResponse({"error": str(error)}, 422)
    engine: AsyncEngine = request.app.state.engine
    async with engine.begin() as connection:
        placed, new = await orders.place(connection, order)
    if new:
        ORDERS.inc()
    return JSONResponse(placed, 201 if new else 200)


async def slow_order(request: Request) -> JSONResponse:
    """Take `seconds` before the order is placed: a request that a deploy must not cut off."""
    try:
        seconds = float(request.query_params.get("seconds", "2"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_SLOW_SECONDS:
        return JSONResponse({"error": f"seconds must be from 0 to {LONGEST_SLOW_SECONDS:g}"}, 422)
    await asyncio.sleep(seconds)
    return await create_order(request)


async def list_orders(request: Request) -> JSONResponse:
    """Answer the last orders, newest first."""
    async with request.app.state.engine.connect() as connection:
        return JSONResponse({"orders": await orders.latest(connection)})


async def count_orders(request: Request) -> JSONResponse:
    """Answer how many orders there are."""
    async with request.app.state.engine.connect() as connection:
        return JSONResponse({"count": await orders.count(connection)})


async def ready(request: Request) -> JSONResponse:
    """Answer 200 when traffic may come, else 503; both say why."""
    found = await health.check(request.app.state.engine, request.app.state.version)
    return JSONResponse(found.json(), 200 if found.ready else 503)


async def live(request: Request) -> JSONResponse:
    """Answer 200 while the process runs, whatever the database does."""
    return JSONResponse({"status": "live", "version": request.app.state.version})


async def metrics(_request: Request) -> Response:
    """Answer the counters in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def database_failed(_request: Request, error: Exception) -> JSONResponse:
    """Answer 503 for a database that is away or behind, so that a client may try again."""
    log.error("database failed", extra={"reason": str(error).split("\n", 1)[0]})
    return JSONResponse({"error": "the database cannot serve this now, try again"}, 503)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open the connection pool before the first request, close it after the last."""
    health.history()  # read now, so that the first health check is not slow
    log.info("started", extra={"version": app.state.version})
    yield
    await app.state.engine.dispose()
    log.info("stopped", extra={"version": app.state.version})


def create_app() -> Starlette:
    """Build the application from the environment."""
    configured = settings.load()
    logs.configure(configured.log_level)
    app = Starlette(
        routes=[
            Route("/api/orders", create_order, methods=["POST"]),
            Route("/api/orders", list_orders),
            Route("/api/orders/count", count_orders),
            Route("/api/slow", slow_order, methods=["POST"]),
            Route("/health", ready),
            Route("/health/ready", ready),
            Route("/health/live", live),
            Route("/metrics", metrics),
        ],
        middleware=[Middleware(Observed)],
        exception_handlers={SQLAlchemyError: database_failed},
        lifespan=lifespan,
    )
    app.state.version = configured.version
    app.state.engine = create_async_engine(
        sqlalchemy_url(configured.database_url),
        connect_args=connect_arguments("shop-backend"),
        pool_size=10,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
    )
    return app


app = create_app()
