"""The verdict on each content, made once for everybody, before a byte of it is given out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, BinaryIO, cast

from picklegate.policy import Policy
from picklegate.report import FileReport, Finding, Verdict
from picklegate.scan import scan_stream
from picklegate.serve.addresses import FileAddress
from picklegate.serve.ledger import BLOCK, Judged, LedgerFile, Ledgers, numbered
from picklegate.serve.upstream import Description, Upstream, UpstreamError
from picklegate.store import judging_key

_WORKERS = 4
"""Contents that are judged side by side."""
_PART = 16 * BLOCK
"""Bytes that are checked and given out at a time."""
_MOST_WAITING = 256
"""Contents that wait to be judged; a request for another one is answered 503."""


class ChangedContentError(Exception):
    """The server sends other bytes than it showed to the judge, or than the Hub's digest says."""


class Judge:
    """Judges contents of one Hub by ranges, and checks what streams through against what was read."""

    def __init__(self, upstream: Upstream, policy: Policy, ledgers: Ledgers) -> None:
        """``ledgers`` keep what was judged."""
        self.policy = policy
        self._upstream = upstream
        self._ledgers = ledgers
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="picklegate-judge")
        self._running: dict[str, asyncio.Task[Judged]] = {}

    def close(self) -> None:
        """Let go of what waits to be judged."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._ledgers.close()

    def blocks(self, judged: Judged) -> bool:
        """Whether the policy refuses the content."""
        return self.policy.blocks(judged.report)

    def _passes_by_digest(self, judged: Judged) -> bool:
        """Whether the content passes only if it has the digest that the server claims: that must be seen first."""
        return judged.report.verdict >= self.policy.block_from

    async def judged(self, address: FileAddress, description: Description, headers: Mapping[str, str]) -> Judged:
        """The verdict and its ledger. Whoever asks while it is made waits for it; a fault is not shared."""
        key = self._key(address, description)
        known = self._ledgers.get(key, name=address.name)
        if known is not None:
            return known
        task = self._running.get(key)
        if task is not None:
            try:
                return await asyncio.shield(task)
            except UpstreamError:
                pass  # it failed for somebody else's token, perhaps
        return await self._run(key, self._read(key, address, description, headers))

    async def complete(self, address: FileAddress, description: Description, headers: Mapping[str, str]) -> Judged:
        """The ledger of every block, after one pass over the whole content whose digest is the Hub's."""
        judged = await self.judged(address, description, headers)
        if judged.complete and not self._passes_by_digest(judged):
            return judged
        key = f"{self._key(address, description)} whole"
        task = self._running.get(key)
        if task is not None:
            return await asyncio.shield(task)
        return await self._run(key, self._pass(address, description, headers, judged))

    async def stream(
        self, address: FileAddress, description: Description, headers: Mapping[str, str], judged: Judged
    ) -> AsyncIterator[bytes]:
        """The whole content, checked block by block; the last part is held back until the digest is the Hub's.

        Raises ChangedContentError, once the refusal is remembered, before the part that differs is given out.
        """
        digest, seen, held = _digest(description), dict(judged.blocks), b""
        place = 0
        async with self._upstream.content(address, description, headers, 0, description.size) as content:
            async for part in _parts(content, description.size):
                hashes = await asyncio.to_thread(_hashed, part, place // BLOCK, digest)
                if not judged.allows(hashes):
                    raise self._changed(address, description)
                seen.update(hashes)
                if held:
                    yield held
                held, place = part, place + len(part)
        if place != description.size:
            raise UpstreamError(502, "the Hub cut the file off")
        if digest is None and not judged.complete:
            raise UpstreamError(502, "the Hub names no digest of the file, and judging did not read all of it")
        if digest is not None and digest.hexdigest() != description.tag:
            raise self._changed(address, description)
        if not judged.complete:
            judged.blocks = seen
            self._ledgers.put(self._key(address, description), judged)
        if held:
            yield held

    async def range(
        self, address: FileAddress, description: Description, headers: Mapping[str, str], start: int, stop: int
    ) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to ``stop``, fetched in whole blocks of which each is known and checked."""
        judged = await self.judged(address, description, headers)
        if not judged.knows(start, stop) or self._passes_by_digest(judged):
            judged = await self.complete(address, description, headers)
        first = start - start % BLOCK
        last = min(description.size, -(-stop // BLOCK) * BLOCK)
        async with self._upstream.content(address, description, headers, first, last) as content:
            place = first
            async for part in _parts(content, last - first):
                if not judged.allows(await asyncio.to_thread(_hashed, part, place // BLOCK)):
                    raise self._changed(address, description)
                yield part[max(0, start - place) : stop - place]
                place += len(part)
            if place != last:
                raise UpstreamError(502, "the Hub cut the file off")

    async def _pass(
        self, address: FileAddress, description: Description, headers: Mapping[str, str], judged: Judged
    ) -> Judged:
        async for _ in self.stream(address, description, headers, judged):
            pass
        return judged

    async def _run(self, key: str, work: Any) -> Judged:
        """Run it as the one task of that name: it goes on when who asked for it has gone."""
        if len(self._running) >= _MOST_WAITING:
            work.close()
            raise UpstreamError(503, "too many files wait to be judged", {"Retry-After": "10"})
        task = self._running[key] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _read(
        self, key: str, address: FileAddress, description: Description, headers: Mapping[str, str]
    ) -> Judged:
        loop = asyncio.get_running_loop()
        judged = await loop.run_in_executor(self._pool, self._scan, address, description, dict(headers))
        self._ledgers.put(key, judged)
        return judged

    def _scan(self, address: FileAddress, description: Description, headers: dict[str, str]) -> Judged:
        """Judge a content by the ranges that judging needs; runs in a thread."""
        url = self._upstream.url + address.route(description.commit)
        file = LedgerFile(url, size=description.size, headers=headers)
        file.blocks = {}
        try:
            report = scan_stream(
                cast("BinaryIO", file), name=address.name, policy=self.policy, digest=False, briefly=True
            )
        except OSError as error:
            raise UpstreamError(502, "the file cannot be judged: the Hub does not give the parts of it") from error
        report = replace(report, sha256=description.tag if len(description.tag) == 64 else "")
        return Judged(report=report, size=description.size, blocks=file.blocks)

    def _changed(self, address: FileAddress, description: Description) -> ChangedContentError:
        """Remember the refusal, so that no second request gets what the first did not."""
        message = "the server sends other bytes than it showed when the file was judged"
        finding = Finding(code="hub.changed-content", verdict=Verdict.MALICIOUS, message=message)
        report = FileReport(name=address.name, container="unknown", size=description.size, findings=(finding,))
        self._ledgers.put(self._key(address, description), Judged(report=report, size=description.size))
        return ChangedContentError(message)

    def _key(self, address: FileAddress, description: Description) -> str:
        """A content of this Hub, under a name of this kind, judged by this engine and policy."""
        return f"{self._upstream.url} {description.tag} {description.size} {judging_key(self.policy, address.name)}"


def _digest(description: Description) -> Any:
    """The running digest that must come to the tag of a content; None where the tag is none."""
    if description.tag.strip("0123456789abcdef"):
        return None
    if len(description.tag) == 64:
        return hashlib.sha256()
    if len(description.tag) == 40:
        return hashlib.sha1(b"blob %d\0" % description.size, usedforsecurity=False)
    return None


def _hashed(part: bytes, first: int, digest: Any = None) -> dict[int, bytes]:
    """The SHA-256 of each block of a part, which begins with block ``first``; ``digest`` takes the part in."""
    if digest is not None:
        digest.update(part)
    return {number: hashlib.sha256(block).digest() for number, block in numbered(part, first)}


async def _parts(content: Any, size: int) -> AsyncIterator[bytes]:
    """A body of ``size`` bytes in parts of some whole blocks; what goes on after them is not read."""
    left, buffer = size, bytearray()
    async for piece in content.iter_any():
        buffer += piece[: left - len(buffer)]
        while len(buffer) >= min(_PART, left) > 0:
            part = bytes(buffer[: min(_PART, left)])
            del buffer[: len(part)]
            left -= len(part)
            yield part
        if not left:
            return
