# SPDX-License-Identifier: MIT
"""What may wait, for programs that run an event loop of asyncio.

A thread of its own does the waiting, a daemon, so that a wait that was given up keeps
neither the loop nor the program.
"""

from __future__ import annotations

import asyncio
import threading
from typing import (
    Any,
    AsyncIterator,
    Callable,
    Generator,
    Generic,
    Iterator,
    Optional,
    Protocol,
    TypeVar,
)

from understudy.exceptions import WaitTimeout

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")

_NO_MORE = object()


class Blocking(Protocol[T_co]):
    """A Result, as this module knows it."""

    @property
    def log(self) -> str: ...
    def done(self) -> bool: ...
    def accepted(self, timeout: Optional[float] = None) -> bool: ...
    def cancel(self) -> bool: ...
    def interrupt(self) -> bool: ...
    def stream_log(
        self, *, build: bool = False, timeout: Optional[float] = None
    ) -> Iterator[str]: ...
    def __await__(self) -> Generator[Any, None, T_co]: ...
    def _still(self, timeout: Optional[float]) -> str: ...


async def in_thread(function: Callable[..., V], *args: Any) -> V:
    """What a function gives that would block the loop. Cancelling ends the waiting
    only."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[V] = loop.create_future()

    def tell(set_it: Callable[[Any], None], outcome: Any) -> None:
        if not waiter.done():
            set_it(outcome)

    def run() -> None:
        try:
            outcome, set_it = function(*args), waiter.set_result
        except BaseException as error:
            outcome, set_it = error, waiter.set_exception  # type: ignore[assignment]
        try:
            loop.call_soon_threadsafe(tell, set_it, outcome)
        except RuntimeError:
            pass  # that loop has ended, and with it whoever waited

    threading.Thread(target=run, name="understudy-aio", daemon=True).start()
    return await waiter


class AsyncResult(Generic[T]):
    """The methods of a Result that may wait, as coroutines: result.aio."""

    __slots__ = ("_result",)

    def __init__(self, result: Blocking[T]) -> None:
        self._result = result

    async def get(self, timeout: Optional[float] = None) -> T:
        """The value, or the job's exception; WaitTimeout."""
        try:
            return await asyncio.wait_for(_value(self._result), timeout)
        except asyncio.TimeoutError:
            if self._result.done():
                raise
            raise WaitTimeout(self._result._still(timeout)) from None

    async def accepted(self, timeout: Optional[float] = None) -> bool:
        """True once the job is on the broker's disk; raises why it was refused."""
        return await in_thread(self._result.accepted, timeout)

    async def cancel(self) -> bool:
        """Whether the job was taken back before it started."""
        return await in_thread(self._result.cancel)

    async def interrupt(self) -> bool:
        """Also ends what runs; whether it has been told."""
        return await in_thread(self._result.interrupt)

    async def log(self) -> str:
        """What the job has written so far."""
        return await in_thread(lambda: self._result.log)

    async def stream_log(
        self, *, build: bool = False, timeout: Optional[float] = None
    ) -> AsyncIterator[str]:
        """Lines of the log as they are written, until the job has ended."""
        lines: Iterator[Any] = self._result.stream_log(build=build, timeout=timeout)
        while True:
            line = await in_thread(next, lines, _NO_MORE)
            if line is _NO_MORE:
                return
            yield line


async def _value(result: Blocking[T]) -> T:
    return await result
