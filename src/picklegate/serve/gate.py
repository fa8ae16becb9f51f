"""The ASGI application: requests of Hub clients in, judged bytes out."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from picklegate import __version__, audit_log, paths
from picklegate.escape import escape
from picklegate.judging.classifier import version
from picklegate.policy import Policy
from picklegate.refusal import sentences
from picklegate.report import FileReport
from picklegate.serve import api
from picklegate.serve.addresses import BadPathError, FileAddress, file_address, segments
from picklegate.serve.decisions import Decisions
from picklegate.serve.judging import ChangedContentError, Judge
from picklegate.serve.ledger import Judged, Ledgers
from picklegate.serve.strict import Strict
from picklegate.serve.upstream import Description, Upstream, UpstreamError

HUB = "https://huggingface.co"
_HEAD_WAIT_S = 5.0
"""How long HEAD waits for a verdict; clients give up after ten seconds, and the verdict goes on being made."""
_SEND_WAIT_S = 60.0
"""How long a client may take for one block."""
_MOST_BODY = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_GIT = ("info/refs", "git-upload-pack", "git-receive-pack", "info/lfs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a gate stands: ``upstream`` is the Hub behind it, ``public_url`` its own address in links to further pages.

    ``most_streams`` bounds the bodies that are sent at a time; ``storage_hosts`` are hosts that the Hub may redirect
    to beside its own; ``ledgers`` is the file that keeps verdicts, None for memory alone.
    """

    upstream: str = HUB
    public_url: str = "http://127.0.0.1:8080"
    policy: Policy = field(default_factory=Policy)
    storage_hosts: tuple[str, ...] = ()
    most_streams: int = 256
    ledgers: Path | None = None

    @classmethod
    def from_environment(cls) -> Settings:
        """From ``PICKLEGATE_UPSTREAM``, ``PICKLEGATE_PUBLIC_URL`` and the policy file, for other ASGI servers."""
        from picklegate.policy_file import load

        return cls(
            upstream=os.environ.get("PICKLEGATE_UPSTREAM", HUB),
            public_url=os.environ.get("PICKLEGATE_PUBLIC_URL", "http://127.0.0.1:8080"),
            policy=load(None).policy,
            ledgers=paths.cache() / "serve.sqlite3",
        )


def create_app(settings: Settings | None = None) -> Any:
    """An ASGI application. Several may run side by side and share nothing: each judges for itself."""
    gate = Gate(settings or Settings.from_environment())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await gate.close()

    routes = [
        Route("/healthz", gate.health),
        Route("/", gate.page),
        Route("/{path:path}", gate.answer, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    return Strict(Starlette(routes=routes, lifespan=lifespan), gate)


class Gate:
    """One gate before one Hub."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is asked of the Hub yet."""
        self.settings = settings
        self.decisions = Decisions()
        self._upstream = Upstream(settings.upstream, storage_hosts=settings.storage_hosts)
        self._judge = Judge(self._upstream, settings.policy, Ledgers(settings.ledgers))
        self._streams = 0
        self._background: set[asyncio.Task[Judged]] = set()

    def reload(self, policy: Policy) -> None:
        """Judge by another policy from the next request on."""
        self._judge.policy = policy

    async def close(self) -> None:
        """End what runs in the background, and close every connection."""
        for task in self._background:
            task.cancel()
        self._judge.close()
        await self._upstream.close()

    async def health(self, _: Request) -> Response:
        """Whether the gate stands, with its versions."""
        return JSONResponse({"status": "ok", "version": __version__, "model": version(), "streams": self._streams})

    async def page(self, _: Request) -> Response:
        """The last decisions, for a person."""
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return HTMLResponse(self.decisions.page(self.settings.upstream), headers=policy)

    async def answer(self, request: Request) -> Response:
        """The answer to any other request."""
        try:
            return await self._routed(request)
        except BadPathError as error:
            return _refusal(400, f"{error}")
        except UpstreamError as error:
            return _refusal(error.status, str(error), error.headers)
        except ChangedContentError as error:
            return _refusal(403, str(error))
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            return _refusal(502, f"the Hub cut its answer off: {type(error).__name__}")

    async def _routed(self, request: Request) -> Response:
        parts = segments(request.scope.get("raw_path") or quote(request.scope["path"]).encode())
        method = request.method
        if parts[:2] == ("api", "telemetry"):
            return Response(status_code=204)
        if any(request.url.path.endswith(f"/{end}") or f".git/{end}" in request.url.path for end in _GIT):
            return Response("picklegate: git is not judged here: use `hf download`\n", 403, media_type="text/plain")
        address = file_address(parts)
        if address is not None and method in ("GET", "HEAD"):
            return await self._file(request, address)
        if parts[0] == "api" and len(parts) > 1 and method in ("GET", "HEAD", "POST"):
            return await self._api(request, parts)
        if method not in ("GET", "HEAD"):
            return _refusal(403, "the gate only reads: write to the Hub itself")
        return _refusal(404, "the gate has no such address")

    async def _api(self, request: Request, parts: tuple[str, ...]) -> Response:
        refused = api.refusal(request.method, parts)
        if refused is not None:
            return _refusal(*refused)
        body = await _body(request)
        query = f"?{request.url.query}" if request.url.query else ""
        route = "/" + "/".join(quote(part, safe="") for part in parts) + query
        headers = {**_identity(request), **_typed(request)}
        status, told, data = await self._upstream.api(request.method, route, headers, body)
        link = told.pop("Link", "")
        following = api.next_page(link, self.settings.public_url) if link else None
        if status < 400 and request.method != "HEAD":
            try:
                data = api.rewritten(data)
            except ValueError:
                raise UpstreamError(502, "the Hub's answer is no JSON that the gate takes") from None
        return Response(data, status, {**told, **({"Link": following} if following else {})})

    async def _file(self, request: Request, address: FileAddress) -> Response:
        identity = _identity(request)
        description = await self._upstream.describe(address, identity)
        if request.method == "HEAD":
            return await self._head(request, address, description, identity)
        judged = await self._judge.judged(address, description, identity)
        client = request.client.host if request.client else ""
        if self._judge.blocks(judged):
            self.decisions.add(client, "refused", judged.report)
            audit_log.note("block", judged.report, policy=self._judge.policy, message=_reason(judged.report))
            return _refusal(403, _reason(judged.report), {"X-Error-Code": "PicklegateBlocked"})
        headers = description.headers
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        start, stop = _span(request.headers.get("range"), description.size)
        if start >= stop and description.size:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{description.size}"})
        if self._streams >= self.settings.most_streams:
            raise UpstreamError(503, "too many files are being sent", {"Retry-After": "5"})
        self.decisions.add(client, "given", judged.report)
        headers["Content-Length"] = str(stop - start)
        if (start, stop) == (0, description.size) and "range" not in request.headers:
            body, status = self._judge.stream(address, description, identity, judged), 200
        else:
            body, status = self._judge.range(address, description, identity, start, stop), 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{description.size}"
        # A fault before the first block becomes an answer of its own and not a cut one.
        first = await anext(body, b"")
        media = "application/octet-stream"
        return _Bounded(self._counted(first, body), status, headers=headers, media_type=media)

    async def _counted(self, first: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield first
            async for block in body:
                yield block
        finally:
            self._streams -= 1
            with suppress(AttributeError):
                await body.aclose()  # type: ignore[attr-defined]

    async def _head(
        self, request: Request, address: FileAddress, description: Description, identity: dict[str, str]
    ) -> Response:
        """The description, and a warning where the file is refused; what takes long goes on being judged.

        huggingface_hub reads a refusal of HEAD as a lost connection and may use an older copy: it is told on GET.
        """
        task = asyncio.get_running_loop().create_task(self._judge.judged(address, description, identity))
        self._background.add(task)
        task.add_done_callback(self._ended)
        headers = {**description.headers, "Content-Length": str(description.size)}
        done, _ = await asyncio.wait([task], timeout=_HEAD_WAIT_S)
        if done and task.exception() is None and self._judge.blocks(task.result()):
            reason = _reason(task.result().report)
            if "hf_hub/" not in request.headers.get("user-agent", ""):
                return _refusal(403, reason, {"X-Error-Code": "PicklegateBlocked"})
            headers["X-HF-Warning"] = f"picklegate; {reason}"
        return Response(status_code=200, headers=headers)

    def _ended(self, task: asyncio.Task[Judged]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: whoever asks for the file meets the fault again


class _Bounded(StreamingResponse):
    """A body that ends the connection where the client takes too long for a block, or the content changed."""

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def bounded(message: Any) -> None:
            await asyncio.wait_for(send(message), _SEND_WAIT_S)

        with suppress(ClientDisconnect, asyncio.TimeoutError):
            await super().__call__(scope, receive, bounded)


def _reason(report: FileReport) -> str:
    """One short ASCII line for a header and a screen."""
    text = f"{report.name} is refused ({report.verdict}): {sentences(report)[0]}"
    return escape(text, 400).encode("ascii", "backslashreplace").decode()


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as the Hub's clients print it."""
    told = {"X-Error-Message": escape(message, 400).encode("ascii", "backslashreplace").decode()}
    passed = {name: value for name, value in (headers or {}).items() if name.lower() != "content-type"}
    body = json.dumps({"error": message})
    return Response(body, status, {"Cache-Control": "no-store", **told, **passed}, "application/json")


def _identity(request: Request) -> dict[str, str]:
    """What the Hub is told of the client: its token and its name."""
    wanted = (("authorization", "Authorization"), ("user-agent", "User-Agent"), ("x-request-id", "X-Request-Id"))
    return {name: request.headers[key] for key, name in wanted if key in request.headers}


def _typed(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type")
    return {"Content-Type": kind} if kind else {}


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _MOST_BODY:
            raise UpstreamError(413, "the request is longer than the gate takes")
    return bytes(data)


def _span(text: str | None, size: int) -> tuple[int, int]:
    """The bytes that a Range header asks for; all of them without one. An empty span is one that lies past the end."""
    if text is None:
        return 0, size
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        raise UpstreamError(400, "the gate takes one range of bytes at a time")
    if not match[1]:
        return max(0, size - int(match[2])), size
    return int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
