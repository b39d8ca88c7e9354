"""A network link to a server that can drop everything and recover."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress


class Wire:
    """Forwards from `port` to a server. While it is silent, connections are accepted and nothing arrives."""

    def __init__(self, to_port: int, port: int = 0) -> None:
        self._to_port, self._port = to_port, port
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self.port = self._ready.result(10)

    def fall_silent(self) -> None:
        self._loop.call_soon_threadsafe(self._open.clear)

    def come_back(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._open, self._ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._open.set()
        try:
            server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        except OSError as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(server.sockets[0].getsockname()[1])
        await self._ended.wait()
        server.close()  # asyncio.run cancels what is still carried

    async def _carry(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        with _hung_up(to_near):
            await self._open.wait()
            far, to_far = await asyncio.open_connection("127.0.0.1", self._to_port)
            with _hung_up(to_far):
                both = [asyncio.create_task(self._one_way(*way)) for way in ((near, to_far), (far, to_near))]
                try:
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in both:
                        task.cancel()

    async def _one_way(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await source.read(65536):
                await self._open.wait()
                target.write(said)
                await target.drain()


@contextmanager
def _hung_up(writer: asyncio.StreamWriter) -> Iterator[None]:
    try:
        with suppress(OSError, asyncio.CancelledError):
            yield
    finally:
        writer.transport.abort()


@contextmanager
def wire(to_port: int, port: int = 0) -> Iterator[Wire]:
    """A new one, from a free port or this one."""
    made = Wire(to_port, port)
    try:
        yield made
    finally:
        made.close()
