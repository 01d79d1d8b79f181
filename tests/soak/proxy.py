"""A proxy before an S3 server that breaks what passes: errors, slow bytes, cut connections.

    python -m tests.soak.proxy --port P --upstream U --fault 503 --rate 0.1 --seed 1

Headers pass unchanged, so that signatures stay valid.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from aiohttp import ClientConnectionError, ClientSession, TCPConnector, web
from yarl import URL

from tests.soak.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What can be broken. ``lost``: the request arrives, its answer does not.
FAULTS = ("500", "503", "slow", "cut", "lost")
_CODES = {"500": "InternalError", "503": "SlowDown"}


@dataclass
class Breaker:
    """Handler of all requests."""

    upstream: int
    fault: str
    rate: float
    dice: random.Random
    broken: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    session: ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/faults-so-far":
            return web.json_response(self.broken)
        if request.path == "/requests-so-far":
            return web.json_response(self.seen)
        payer = request.headers.get("x-amz-request-payer", "")
        signature = request.headers.get("Authorization", "")
        self.seen.append((f"{request.method} {request.raw_path}", payer, signature[:16]))
        fault = ""
        if self.dice.random() < self.rate:
            fault = self.dice.choice(FAULTS) if self.fault == "all" else self.fault
            self.broken[fault] = self.broken.get(fault, 0) + 1
        body = await request.read()
        if fault in _CODES:
            text = f"<Error><Code>{_CODES[fault]}</Code><Message>injected</Message></Error>"
            return web.Response(status=int(fault), text=text, content_type="application/xml")
        try:
            return await self._forwarded(request, body, fault)
        except ClientConnectionError:
            _drop(request)
            raise

    async def _forwarded(self, request: web.Request, body: bytes, fault: str) -> web.StreamResponse:
        assert self.session is not None  # opened before the first request
        url = f"http://127.0.0.1:{self.upstream}{request.raw_path}"
        headers = {k: v for k, v in request.headers.items() if k.lower() != "expect"}
        async with self.session.request(
            request.method, URL(url, encoded=True), headers=headers, data=body
        ) as answer:
            data = await answer.read()
            if fault == "lost":
                _drop(request)
                raise ConnectionResetError
            kept = {
                k: v
                for k, v in answer.headers.items()
                if k.lower() not in {"transfer-encoding", "connection"}
            }
            if request.method != "HEAD":
                kept["Content-Length"] = str(len(data))
            stream = web.StreamResponse(status=answer.status, headers=kept)
            await stream.prepare(request)
            if fault == "cut":
                await stream.write(data[: len(data) // 2])
                _drop(request)
                raise ConnectionResetError
            if fault == "slow":
                step = max(1, len(data) // 10)
                for start in range(0, len(data), step):
                    await asyncio.sleep(0.05)
                    await stream.write(data[start : start + step])
            else:
                await stream.write(data)
            await stream.write_eof()
            return stream


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _serve(port: int, breaker: Breaker) -> None:
    connector = TCPConnector(limit=0, force_close=True)
    async with ClientSession(connector=connector, auto_decompress=False) as session:
        breaker.session = session
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", breaker.handle)
        server = web.AppRunner(application, access_log=None)
        await server.setup()
        await web.TCPSite(server, "127.0.0.1", port).start()
        await asyncio.Event().wait()


@contextlib.contextmanager
def broken(upstream: int, fault: str, rate: float, seed: int) -> Iterator[str]:
    """Address of a proxy in a process of its own."""
    port = free_port()
    words = [sys.executable, "-m", "tests.soak.proxy", "--port", str(port)]
    words += ["--upstream", str(upstream), "--fault", fault, "--rate", str(rate)]
    words += ["--seed", str(seed)]
    process = subprocess.Popen(  # noqa: S603
        words, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def requests_so_far(endpoint: str) -> list[tuple[str, str, str]]:
    """What passed a proxy: method and path, who pays, start of the signature."""
    with urlopen(f"{endpoint}/requests-so-far") as answer:  # noqa: S310
        return [tuple(entry) for entry in json.load(answer)]


def _wait(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError("the proxy did not start")


def faults_of(endpoint: str) -> dict[str, Any]:
    """How often a proxy broke what, so far."""
    with urlopen(f"{endpoint}/faults-so-far") as answer:  # noqa: S310  # our own
        return dict(json.load(answer))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--fault", choices=[*FAULTS, "all"], required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    dice = random.Random(given.seed)  # noqa: S311
    asyncio.run(_serve(given.port, Breaker(given.upstream, given.fault, given.rate, dice)))
