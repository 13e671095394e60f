"""Measure and log each request."""

from __future__ import annotations

import logging
import time

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("shop_requests_total", "Answered requests.", ["method", "path", "status"])
SECONDS = Histogram("shop_request_seconds", "Time until the answer was sent.", ["path"])
IN_FLIGHT = Gauge("shop_requests_in_flight", "Requests without an answer yet.")
ORDERS = Counter("shop_orders_total", "New orders placed by this process.")
log = logging.getLogger("shop.requests")


class Observed:
    """ASGI middleware: counts, times and logs each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it was answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            with IN_FLIGHT.track_inprogress():
                await self.app(scope, receive, note)
        finally:
            seconds = time.perf_counter() - began
            # Unknown paths share one label: a scanner must not fill the memory.
            path = scope["path"] if "endpoint" in scope else "unknown"
            REQUESTS.labels(scope["method"], path, status).inc()
            SECONDS.labels(path).observe(seconds)
            # Probes come every second: only those that fail are news.
            quiet = status < 400 and path.startswith(("/health", "/metrics"))
            fields = {"method": scope["method"], "path": scope["path"], "status": status}
            log.log(
                logging.DEBUG if quiet else logging.INFO,
                "request",
                extra={**fields, "ms": round(seconds * 1000, 1)},
            )
