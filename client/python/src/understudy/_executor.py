# SPDX-License-Identifier: MIT
"""Executor: concurrent.futures over the nodes of a channel."""

from __future__ import annotations

import threading
from collections import deque
from concurrent import futures
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Tuple, TypeVar

from understudy import _context
from understudy._options import DEFAULT_CHANNEL, make_options
from understudy.decorators import BoundDecorated, Decorated
from understudy.exceptions import InvalidArgument, UnderstudyError, WaitTimeout

if TYPE_CHECKING:
    from understudy._call import Caller
    from understudy._result import Result

R = TypeVar("R")


class Executor(futures.Executor):
    """Executor("calculator", packages=["numpy"]).submit(function, *args).

    Takes the keywords of the decorator. Any callable goes: functions of modules by
    name, lambdas, closures and what lives in __main__ by value. A decorated function
    brings its packages along and runs on the executor's channel.
    """

    def __init__(self, channel: str = DEFAULT_CHANNEL, **keywords: Any) -> None:
        if keywords.get("block"):
            raise InvalidArgument(
                "an Executor gives futures; block=True has no meaning"
            )
        self._options = make_options(channel, **keywords)
        self._lock = threading.Lock()
        self._pending: Deque[Result[Any]] = deque()
        self._callers: Dict[Tuple[Any, ...], Caller] = {}
        self._closed = False

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Result[R]:
        if _context.in_worker:
            raise UnderstudyError("an Executor cannot be used inside a job")
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        result = self._caller(fn).submit_any(fn, args, kwargs)
        with self._lock:
            # The new one is not asked whether it is done: that would wake the library's
            # thread to watch its job.
            while self._pending and self._pending[0].done():
                self._pending.popleft()
            self._pending.append(result)
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._closed = True
        with self._lock:
            pending = list(self._pending)
        if cancel_futures:
            for result in pending:
                if not result.done():
                    _try_to_cancel(result)
        if wait:
            for result in pending:
                result._job.wait(None)
            self._pending.clear()

    def _caller(self, fn: Any) -> Caller:
        """The Caller for a function: there is one for each set of packages that
        decorated functions bring."""
        function = fn.__func__ if isinstance(fn, BoundDecorated) else fn
        more = function._options if isinstance(function, Decorated) else None
        key = () if more is None else (more.packages, more.constraints, more.python)
        caller = self._callers.get(key)
        if caller is None:
            from understudy._call import Caller  # needs _core, which nodes lack

            options = self._options
            if more is not None:
                options = options._replace(
                    packages=_joined(options.packages, more.packages),
                    constraints=_joined(options.constraints, more.constraints),
                    python=options.python or more.python,
                )
            with self._lock:
                caller = self._callers.setdefault(key, Caller(options))
        return caller


def _joined(mine: Tuple[str, ...], more: Tuple[str, ...]) -> Tuple[str, ...]:
    return tuple(dict.fromkeys((*mine, *more)))


def _try_to_cancel(result: Result[Any]) -> None:
    try:
        result.cancel()
    except WaitTimeout:
        pass  # no broker answers now; shutdown(wait=True) waits for the job itself
