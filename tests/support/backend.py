"""A web service without a framework: who answers, slow POSTs, liveness of any status."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

RELEASE = os.environ["APP_VERSION"]
LIVE_STATUS = int(os.environ["LIVE_STATUS"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    status, body = 200, RELEASE
    while (await receive()).get("more_body"):
        pass
    if scope["method"] == "POST":
        await asyncio.sleep(2)
    if scope["path"].endswith("/live"):
        status = LIVE_STATUS
        body = json.dumps({"version": RELEASE})
    if scope["path"].endswith("/headers"):
        body = json.dumps({name.decode(): value.decode() for name, value in scope["headers"]})
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
