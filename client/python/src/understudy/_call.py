# SPDX-License-Identifier: MIT
"""Submitting: what the decorator, Executor and Lead have in common."""

from __future__ import annotations

import threading
import types
from collections import OrderedDict
from concurrent.futures import Future, as_completed
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, cast

from understudy import _client
from understudy._client import Client, client_of
from understudy._options import Options
from understudy._result import Result, _interrupt_all
from understudy._serialize import Body, Code, sized
from understudy._wrapper import BoundWrapper
from understudy.exceptions import (
    InvalidArgument,
    NoUnderstudiesError,
    PayloadTooLarge,
)

_FUNCTIONS_KEPT = 256


class Caller:
    """Submits calls with one set of options. Opens nothing before the first call."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._client: Optional[Client] = None
        self._codes: OrderedDict[int, Code] = OrderedDict()
        self._lock = threading.Lock()
        self._keywords: Dict[str, Any] = {
            "packages": options.packages,
            "constraints": options.constraints,
            "soft_limit": options.soft_limit,
            "hard_limit": options.hard_limit,
            "retries": options.retries,
            "expires": options.expires,
            "fresh": options.fresh,
            "queue": options.queue,
        }

    def client(self) -> Client:
        """The client of these options, connected."""
        client = self._client
        if client is None:
            client = self._client = client_of(self.options.settings)
        if client.connected != _client.generation:
            client.connect()
        return client

    def submit(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Result[Any]:
        code = self._code(function)
        body = code.body(args, kwargs, self.options.python)
        client = self.client()
        if len(body.data) > client.max_payload:
            raise code.too_large(args, kwargs, len(body.data), client.max_payload)
        return self._send(client, body, code.name)

    def submit_any(
        self, function: Any, args: Tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Result[Any]:
        """Submits any callable; of a bound method its function, with the instance as
        the first argument."""
        if isinstance(function, (types.MethodType, BoundWrapper)):
            function, args = function.__func__, (function.__self__, *args)
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")
        return self.submit(function, args, kwargs)

    def shell(self, command: str) -> Result[Any]:
        if not isinstance(command, str) or not command.strip() or "\0" in command:
            raise InvalidArgument(f"{command!r} is not a command line")
        client = self.client()
        body = Body(command.encode(), (), self.options.python)
        if len(body.data) > client.max_payload:
            raise PayloadTooLarge(
                f"the command line is {sized(len(body.data))}; the limit is "
                f"{sized(client.max_payload)}"
            )
        name = " ".join(command.split())
        name = name if len(name) <= 64 else name[:63] + "…"
        return self._send(client, body, name, shell=True)

    def _send(self, client: Client, body: Body, name: str, **more: Any) -> Result[Any]:
        options = self.options
        job = client.core.submit(
            options.channel,
            body.data,
            blobs=body.blobs,
            python=body.python,
            name=name,
            stream_log=options.block,
            **self._keywords,
            **more,
        )
        result = Result._of(job, client, name, options.trust)
        if not options.queue:
            try:
                result.accepted()
            except NoUnderstudiesError:
                raise NoUnderstudiesError(
                    f"no node listens on channel {options.channel!r}; start one with: "
                    f"understudy-node --channel {options.channel}, or wait for one: "
                    "queue=True"
                ) from None
        return result

    def _code(self, function: Any) -> Code:
        code = self._codes.get(id(function))
        if code is not None and code.is_fresh():
            return code
        code = Code(function, self.options.packages)
        with self._lock:
            self._codes[id(function)] = code  # which keeps function, so its id, alive
            self._codes.move_to_end(id(function))
            if len(self._codes) > _FUNCTIONS_KEPT:
                self._codes.popitem(last=False)
        return code


def collect(
    submitted: Iterable[Result[Any]],
    iterables: Sequence[Iterable[Any]],
    progress: bool,
    name: str,
) -> List[Any]:
    """Gives the values in order, or raises the first failure once all jobs have ended.
    Ctrl-C ends the jobs that have not."""
    results: List[Result[Any]] = []
    try:
        results.extend(submitted)
        if progress:
            _show(results, name)
        errors = [error for error in map(_error_of, results) if error is not None]
    except KeyboardInterrupt:
        _interrupt_all(results)
        raise
    if errors:
        try:
            raise errors[0]
        finally:
            del errors
    return [result.result(0) for result in results]


def _error_of(result: Result[Any]) -> Optional[BaseException]:
    try:
        result.result()
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error


def _show(results: List[Result[Any]], name: str) -> None:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise InvalidArgument("progress=True needs the package tqdm") from None
    with tqdm(total=len(results), desc=name) as bar:
        for _ in as_completed(cast("List[Future[Any]]", results)):
            bar.update()
