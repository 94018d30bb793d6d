# SPDX-License-Identifier: MIT
"""Submitting: what the decorator, Executor and Lead have in common."""

from __future__ import annotations

import functools
import threading
import types
from collections import OrderedDict
from concurrent.futures import Future, as_completed
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    cast,
)

from understudy import _client, _msgpack, _waiting
from understudy._client import Client, beside, client_of
from understudy._held import HeldJob, Send
from understudy._options import Options
from understudy._result import Result, _interrupt_all
from understudy._serialize import Body, Code, sized
from understudy._wrapper import BoundWrapper
from understudy.exceptions import (
    InvalidArgument,
    NoUnderstudiesError,
    PayloadTooLarge,
    SerializationError,
)

if TYPE_CHECKING:
    from understudy import _core

_FUNCTIONS_KEPT = 256
_NODES_ASKED = 10_000


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
            "stream_log": options.block,
        }
        self._equipment = options.equipment
        if self._equipment is not None:
            self._keywords["env"] = self._equipment.env
            self._keywords["cwd"] = self._equipment.cwd

    def client(self) -> Client:
        """The client of these options, connected."""
        client = self._any_client()
        if client.connected != _client.generation:
            client.connect()
        return client

    def submit(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Result[Any]:
        code = self._code(function)
        body = self._equipped(code.body(args, kwargs, self.options.python))
        client = self._client
        if client is None or client.connected != _client.generation:
            if self.must_not_block():
                return self._later(*self._held(body, code.name))
            client = self.client()
        if len(body.data) > client.max_payload:
            raise code.too_large(args, kwargs, len(body.data), client.max_payload)
        if body.buffers:
            code.check_buffers(args, kwargs, body, client.buffers)
        return self._send(client, body, code.name)

    def hold(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tuple[Result[Any], Send]:
        """A Result whose job is not sent before somebody releases it with what comes
        along, and what cannot travel at once as its exception."""
        try:
            code = self._code(function)
            body = self._equipped(code.body(args, kwargs, self.options.python))
        except SerializationError as error:
            return self.failed(function, error), _never
        return self._held(body, code.name)

    def failed(self, function: Any, error: Exception) -> Result[Any]:
        """A Result that has ended with an exception, without a job."""
        from understudy import _core

        client = self._any_client()
        job = HeldJob(client, _core.new_id(self.options.channel))
        job.fail(error)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return Result._of(job, client, name, self.options.trust)

    def _later(self, result: Result[Any], send: Send) -> Result[Any]:
        job = cast(HeldJob, result._job)
        self.when_connected(job, lambda: job.release(send))
        return result

    def when_connected(self, job: HeldJob, then: Callable[[], object]) -> None:
        """Does something with a held job once there is a connection, which a thread of
        its own makes; without one the job ends with the reason."""
        self._any_client().connect_beside(
            lambda problem: then() if problem is None else job.fail(problem)
        )

    def must_not_block(self) -> bool:
        """Whether there is no connection yet, and making one, which may take seconds,
        would block an event loop."""
        connected = self._any_client().connected == _client.generation
        return not connected and _client.in_event_loop()

    def slots(self) -> int:
        """How many jobs the nodes on this channel run at a time."""
        rows, _ = beside(
            functools.partial(self.client().core.query, "nodes", limit=_NODES_ASKED)
        )
        nodes = [cast("Dict[str, Any]", _msgpack.unpackb(row)) for row in rows]
        channel = self.options.channel
        free = [n for n in nodes if channel in n["channels"] and not n["draining"]]
        return sum(int(node["slots"]) for node in free)

    def _any_client(self) -> Client:
        client = self._client
        if client is None:
            client = self._client = client_of(self.options.settings)
        return client

    def _held(self, body: Body, name: str, **more: Any) -> Tuple[Result[Any], Send]:
        from understudy import _core

        client = self._any_client()
        job = HeldJob(client, _core.new_id(self.options.channel))

        def send(job_id: bytes) -> _core.Job:
            connected = self.client()
            _check_size(connected, body, f"the call of {name}")
            sent = self._send(connected, body, name, id=job_id, **more)
            return cast("_core.Job", sent.__dict__.pop("_job"))  # of the held one now

        return Result._of(job, client, name, self.options.trust), send

    def unbound(
        self, function: Any, args: Tuple[Any, ...]
    ) -> Tuple[Any, Tuple[Any, ...]]:
        """Of a bound method its function, with the instance as the first argument."""
        if isinstance(function, (types.MethodType, BoundWrapper)):
            function, args = function.__func__, (function.__self__, *args)
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")
        return function, args

    def shell(self, command: str) -> Result[Any]:
        if not isinstance(command, str) or not command.strip() or "\0" in command:
            raise InvalidArgument(f"{command!r} is not a command line")
        body = self._equipped(Body(command.encode(), (), self.options.python))
        name = " ".join(command.split())
        name = name if len(name) <= 64 else name[:63] + "…"
        if self.must_not_block():
            return self._later(*self._held(body, name, shell=True))
        client = self.client()
        _check_size(client, body, "the command line")
        return self._send(client, body, name, shell=True)

    def _send(self, client: Client, body: Body, name: str, **more: Any) -> Result[Any]:
        options = self.options
        if self._equipment is not None:
            self._equipment.check(client.max_payload)
        if body.buffers:
            more["buffers"] = body.buffers
        job = client.core.submit(
            options.channel,
            body.data,
            blobs=body.blobs,
            setup=body.setup,
            python=body.python,
            name=name,
            **self._keywords,
            **more,
        )
        result = Result._of(job, client, name, options.trust)
        if not options.queue and not _client.in_event_loop():
            try:
                result.accepted()
            except NoUnderstudiesError:
                raise NoUnderstudiesError(
                    _nobody(options.channel, body.python, options.python)
                ) from None
        return result

    def _equipped(self, body: Body) -> Body:
        """The body with what its worker has to have besides the code."""
        if self._equipment is None:
            return body
        more, setup = self._equipment.blobs(self._setup_body)
        blobs = {blob.digest: blob for blob in (*body.blobs, *more)}
        return body._replace(blobs=tuple(blobs.values()), setup=setup)

    def _setup_body(self, function: Any, args: Sequence[Any]) -> Body:
        function, args = self.unbound(function, tuple(args))
        return self._code(function).body(args, {}, self.options.python)

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


def _check_size(client: Client, body: Body, what: str) -> None:
    if body.buffers:
        body.check_buffers(client.buffers, what)
    if len(body.data) > client.max_payload:
        raise PayloadTooLarge(
            f"{what} is {sized(len(body.data))}; the limit is "
            f"{sized(client.max_payload)}"
        )


def _nobody(channel: str, python: Optional[str], asked: Optional[str]) -> str:
    """python: what the job needs. asked: what was asked for; by value it goes as code
    of this program's Python."""
    text = f"{_waiting.nobody(channel, python)}, or wait for one: queue=True"
    if python is not None and asked is None:
        text += (
            f"; the function goes by value, as code of Python {python}: in a module of "
            "its own it runs with any"
        )
    return text


def _never(job_id: bytes) -> _core.Job:
    raise AssertionError("a job that has ended is not sent")


def collect(
    submitted: Iterable[Result[Any]],
    iterables: Sequence[Iterable[Any]],
    progress: bool,
    name: str,
    return_exceptions: bool = False,
) -> List[Any]:
    """Gives the values in order, or raises the first failure once all jobs have ended;
    or gives exceptions as values. Ctrl-C ends the jobs that have not."""
    results: List[Result[Any]] = []
    try:
        results.extend(submitted)
        if progress:
            _show(results, name)
        ends = [_error_of(result) for result in results]
    except KeyboardInterrupt:
        _interrupt_all(results)
        raise
    first = next((error for error in ends if error is not None), None)
    if first is not None and not return_exceptions:
        try:
            raise first
        finally:
            del first, ends
    return [
        result.result(0) if error is None else error
        for result, error in zip(results, ends)
    ]


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
