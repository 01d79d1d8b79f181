"""The one port: events in, health, metrics, and a page for people."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Final

from aiohttp import web

from s2cloud.model.errors import InputError, S2CloudError
from s2cloud.service.authentication import Allowance, Authentication
from s2cloud.service.events import parse_http
from s2cloud.service.page import JobTable, quicklook, status_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s2cloud.service.dispatcher import Dispatcher
    from s2cloud.service.intake import Intake
    from s2cloud.service.metrics import ServiceMetrics
    from s2cloud.service.settings import Settings

__all__ = ["Port"]

logger = logging.getLogger(__name__)

#: The loop of the dispatcher is dead, not waiting, after so long. [s]
DEAD_S: Final = 300.0
#: Without a listing for so long the store is gone, and events go to others. [s]
GONE_S: Final = 60.0
_TOPIC: Final = re.compile(
    r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?/\?[A-Za-z0-9=&:%._-]{1,4000}"
)
_SAFE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Port:
    """Answers requests.

    Parameters
    ----------
    settings
        Of the service.
    intake, dispatcher, metrics, table
        What it speaks for.
    """

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        dispatcher: Dispatcher,
        metrics: ServiceMetrics,
        table: JobTable,
    ) -> None:
        self.settings = settings
        self.url = ""
        self._intake = intake
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._table = table
        self._authentication = Authentication(settings.http)
        self._allowance = Allowance(settings.http.requests_per_minute)
        self._strangers = Allowance(settings.http.requests_per_minute)
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Begin to listen."""
        http = self.settings.http
        app = web.Application(client_max_size=http.max_body_bytes, middlewares=[_plain_errors])
        app.add_routes(
            [
                web.post("/events", self._events),
                web.post("/events/{kind}", self._events),
                web.options("/events", self._handshake),
                web.options("/events/{kind}", self._handshake),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics_text),
                web.get("/", self._page),
                web.get("/jobs", self._jobs),
                web.get("/quicklook/{job:[0-9A-Z]{5}-[0-9]{8}-[0-9a-f]{16}}", self._quicklook),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, http.host, http.port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{http.host}:{port}"
        logger.info("listening on %s", self.url)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    # -- events --------------------------------------------------------------------------------

    async def _events(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > self.settings.http.max_body_bytes:
            raise web.HTTPRequestEntityTooLarge(
                self.settings.http.max_body_bytes, request.content_length or 0
            )
        if self._dispatcher.stopping:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        body = await request.read()
        # Not in this thread: the keys of an issuer may have to be fetched.
        known = await asyncio.to_thread(self._authentication.permits, request.headers, body)
        # Apart, so that strangers cannot use up what senders are allowed.
        if not (self._allowance if known else self._strangers).spend():
            raise web.HTTPTooManyRequests(headers={"Retry-After": "5"})
        if not known:
            logger.warning("event without a valid secret from %s", request.remote)
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": self._scheme()})
        try:
            arrival = parse_http(request.headers, body)
        except InputError as error:
            self._intake.counts["unreadable"] += 1
            return web.json_response({"error": str(error)}, status=400)
        if arrival.answer is not None:
            return web.json_response(arrival.answer)
        if arrival.confirm:
            confirmed = await asyncio.to_thread(_confirm, arrival.confirm)
            return web.json_response({"confirmed": confirmed}, status=200 if confirmed else 400)
        try:
            taken = await asyncio.to_thread(self._intake.take, arrival.found)
        except S2CloudError as error:
            logger.warning("event not recorded: %s", error)
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "10"}) from error
        # Also for what is refused: senders repeat what is not accepted, for ever some of them.
        answer = {"jobs": taken.jobs, "ignored": taken.ignored, "refused": taken.refused}
        return web.json_response(answer, status=202)

    async def _handshake(self, request: web.Request) -> web.Response:
        """Whether an origin may send here: the abuse protection of CloudEvents."""
        origin = request.headers.get("WebHook-Request-Origin", "")
        allowed = self.settings.http.allowed_origins
        if not origin or not ("*" in allowed or origin in allowed):
            raise web.HTTPForbidden
        rate = str(self.settings.http.requests_per_minute)
        return web.Response(
            headers={
                "Allow": "POST",
                "WebHook-Allowed-Origin": origin,
                "WebHook-Allowed-Rate": rate,
            }
        )

    def _scheme(self) -> str:
        return 'Basic realm="s2cloud"' if self.settings.http.authentication == "basic" else "Bearer"

    # -- operations ----------------------------------------------------------------------------

    async def _healthz(self, _: web.Request) -> web.Response:
        age = time.monotonic() - self._dispatcher.alive_at
        if age > DEAD_S and not self._dispatcher.stopping:
            return web.Response(text="the dispatcher stands still\n", status=503)
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        age = time.monotonic() - self._dispatcher.listed_at
        if self._dispatcher.stopping:
            return web.Response(text="stopping\n", status=503)
        if not self._dispatcher.listed_at or age > GONE_S:
            return web.Response(text="the store of jobs does not answer\n", status=503)
        return web.Response(text="ok\n")

    async def _metrics_text(self, _: web.Request) -> web.Response:
        text = await asyncio.to_thread(self._metrics.text)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _page(self, _: web.Request) -> web.Response:
        jobs = await asyncio.to_thread(self._table.jobs)
        text = status_page(jobs, self.settings)
        return web.Response(text=text, content_type="text/html", headers=_SAFE_HEADERS)

    async def _jobs(self, _: web.Request) -> web.Response:
        jobs = await asyncio.to_thread(self._table.jobs)
        return web.json_response(jobs, headers={"Cache-Control": "no-store"})

    async def _quicklook(self, request: web.Request) -> web.Response:
        found = await asyncio.to_thread(quicklook, self._table, request.match_info["job"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            body=found,
            content_type="image/png",
            headers={"Cache-Control": "max-age=86400", "X-Content-Type-Options": "nosniff"},
        )


@web.middleware
async def _plain_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Bugs and failures without their stack, and nothing of the request in the log."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except S2CloudError as error:
        logger.warning("%s %s: %s", request.method, request.path, error)
        return web.json_response({"error": "a store does not answer"}, status=503)
    except Exception:
        logger.exception("%s %s", request.method, request.path)
        return web.json_response({"error": "internal error"}, status=500)


def _confirm(address: str) -> bool:
    """Confirm a subscription to a topic of SNS: only at Amazon's own servers for it."""
    if not _TOPIC.fullmatch(address):
        logger.warning("a topic asks to be confirmed at an address that is not Amazon's: refused")
        return False
    try:
        with urllib.request.urlopen(address, timeout=10):  # noqa: S310  # checked above
            return True
    except OSError as error:
        logger.warning("subscription to a topic not confirmed: %s", type(error).__name__)
        return False
