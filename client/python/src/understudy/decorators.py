# SPDX-License-Identifier: MIT
"""The decorator: calling the function runs it on a node.

    @understudy                      the default channel
    @understudy("calculator")        nodes that listen on this channel
    @understudy(packages=["pytz"])   in an environment that has these packages
    @understudy(block=True)          waits, prints the log as it is written, and gives
                                     the value instead of a Result

On functions, methods, static and class methods (on either side of those decorators).
Decorating opens no connection; the first call does. Inside a job a decorated function
runs in place, as a plain call.
"""

from __future__ import annotations

import functools
import inspect
from concurrent.futures import Future
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Generic,
    Iterable,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    cast,
    overload,
)

from understudy import _context
from understudy._equipment import Files
from understudy._options import DEFAULT_CHANNEL, Options, change_options, make_options
from understudy._settings import PathLike
from understudy._wrapper import BoundWrapper, Wrapper

if TYPE_CHECKING:
    from understudy._call import Caller
    from understudy._result import Result

__all__ = ["understudy"]

R = TypeVar("R")  # what the function returns
V = TypeVar("V")  # what calling it gives: Result[R], or R where block=True

_CHANGED_KEPT = 32  # for each function: what options() has made


class Decorated(Wrapper, Generic[R, V]):
    """A function that runs elsewhere. ``__wrapped__`` is the plain function."""

    __wrapped__: Callable[..., R]
    __name__: str
    __qualname__: str

    def __init__(self, function: Any, options: Options) -> None:
        self._kind = type(function)
        if isinstance(function, (staticmethod, classmethod)):
            function = function.__func__
        _check_function(function)
        functools.update_wrapper(cast(Any, self), function)
        self._options = options
        self._caller: Optional[Caller] = None
        self._changed: Dict[Options, Decorated[R, Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> V:
        if _context.in_worker:
            _context.ran_in_place = True
            return cast(V, self.__wrapped__(*args, **kwargs))
        result = self._submit(args, kwargs)
        return cast(V, result._block() if self._options.block else result)

    def submit(self, *args: Any, **kwargs: Any) -> Result[R]:
        """A Result at once, also where block=True."""
        if _context.in_worker:
            return cast("Result[R]", _run(self.__wrapped__, args, kwargs))
        return self._submit(args, kwargs)

    async def aio(self, *args: Any, **kwargs: Any) -> R:
        """The value, awaited; also where block=True."""
        if _context.in_worker:
            return self.__wrapped__(*args, **kwargs)
        return await self._submit(args, kwargs)

    def options(
        self, channel: Optional[str] = None, **keywords: Any
    ) -> Decorated[R, Any]:
        """The same function with other keywords, for this call:
        ``resize.options(timeout=60, retries=2)(image)``. What is not named stays."""
        changed = change_options(self._options, channel, **keywords)
        known = self._changed.get(changed)
        if known is None:
            known = self._with(changed)
            if len(self._changed) >= _CHANGED_KEPT:
                self._changed.clear()
            self._changed[changed] = known
        return known

    def map(
        self,
        *iterables: Iterable[Any],
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> List[R]:
        """The values for each element, in order. The first failure raises once the rest
        has ended; with return_exceptions=True the exceptions stand among the values.
        progress=True shows a bar."""
        return self._map((), iterables, progress, return_exceptions)

    def _with(self, options: Options) -> Decorated[R, Any]:
        around = self._kind if self._kind in _KINDS else None
        function: Any = self.__wrapped__
        return Decorated(around(function) if around else function, options)

    def _submit(self, args: Sequence[Any], kwargs: Dict[str, Any]) -> Result[R]:
        caller = self._caller
        if caller is None:
            from understudy._call import Caller  # needs _core, which nodes lack

            caller = self._caller = Caller(self._options)
        return caller.submit(self, args, kwargs)

    def _map(
        self,
        first: Tuple[Any, ...],
        iterables: Sequence[Iterable[Any]],
        progress: bool,
        return_exceptions: bool,
    ) -> List[R]:
        if not iterables:
            raise TypeError("map() needs at least one iterable")
        if _context.in_worker:
            calls = ((*first, *args) for args in zip(*iterables))
            return _map_here(self.__wrapped__, calls, return_exceptions)
        from understudy._call import collect

        return collect(
            (self._submit((*first, *args), {}) for args in zip(*iterables)),
            iterables,
            progress,
            self.__name__,
            return_exceptions,
        )

    def __get__(self, instance: Any, owner: Optional[type] = None) -> Any:
        if self._kind is staticmethod:
            return self
        if self._kind is classmethod:
            return BoundDecorated(self, type(instance) if owner is None else owner)
        return self if instance is None else BoundDecorated(self, instance)

    def __repr__(self) -> str:
        channel = self._options.channel
        return f"<understudy {self.__module__}.{self.__qualname__} on {channel!r}>"

    def __reduce__(self) -> Any:
        return self.__qualname__

    def _reduce_by_value(self) -> Tuple[Any, ...]:
        kind = _KINDS.get(self._kind, "")
        return _rebuild, (
            self.__wrapped__,
            kind,
            tuple(self._options._replace(equipment=None)),
        )


class BoundDecorated(BoundWrapper, Generic[R, V]):
    """A decorated method together with its instance (or class)."""

    __slots__ = ("__func__", "__self__")

    def __init__(self, function: Decorated[R, V], instance: Any) -> None:
        self.__func__: Decorated[R, V] = function
        self.__self__ = instance

    def __call__(self, *args: Any, **kwargs: Any) -> V:
        if _context.in_worker:
            _context.give_logger(self.__self__)
        return self.__func__(self.__self__, *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Result[R]:
        return self.__func__.submit(self.__self__, *args, **kwargs)

    async def aio(self, *args: Any, **kwargs: Any) -> R:
        return await self.__func__.aio(self.__self__, *args, **kwargs)

    def options(
        self, channel: Optional[str] = None, **keywords: Any
    ) -> BoundDecorated[R, Any]:
        return BoundDecorated(self.__func__.options(channel, **keywords), self.__self__)

    def map(
        self,
        *iterables: Iterable[Any],
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> List[R]:
        first = (self.__self__,)
        return self.__func__._map(first, iterables, progress, return_exceptions)

    def __getattr__(self, name: str) -> Any:
        if name in ("__wrapped__", "__func__", "__self__"):
            raise AttributeError(name)  # unwrapping would lose the instance
        return getattr(self.__func__, name)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, BoundDecorated)
            and self.__func__ is other.__func__
            and self.__self__ is other.__self__
        )

    def __hash__(self) -> int:
        return hash((id(self.__func__), id(self.__self__)))

    def __repr__(self) -> str:
        return f"<bound {self.__func__!r} of {self.__self__!r}>"

    def __reduce__(self) -> Any:
        return getattr, (self.__self__, self.__func__.__name__)


_KINDS: Dict[type, str] = {staticmethod: "static", classmethod: "class"}


def _rebuild(function: Any, kind: str, options: Tuple[Any, ...]) -> Decorated[Any, Any]:
    around = {"static": staticmethod, "class": classmethod}.get(kind)
    return Decorated(around(function) if around else function, Options(*options))


def _check_function(function: Any) -> None:
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            f"@understudy decorates functions and methods, not {function!r}"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__qualname__} is a generator; return a list instead"
        )


def _map_here(
    function: Callable[..., Any],
    calls: Iterable[Tuple[Any, ...]],
    return_exceptions: bool,
) -> List[Any]:
    if not return_exceptions:
        return [function(*args) for args in calls]
    futures = [_run(function, args, {}) for args in calls]
    return [future.exception() or future.result() for future in futures]


def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
    """In place, as a Future that has ended."""
    future: Future[Any] = Future()
    try:
        future.set_result(function(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


@overload
def understudy(channel: Callable[..., R], /) -> Decorated[R, Result[R]]: ...


@overload
def understudy(
    channel: Optional[str] = None,
    *,
    block: Literal[True],
    packages: Sequence[str] = ...,
    constraints: Sequence[str] = ...,
    python: Optional[str] = ...,
    queue: bool = ...,
    retries: int = ...,
    timeout: Optional[float] = ...,
    hard_timeout: Optional[float] = ...,
    expires: Optional[float] = ...,
    isolation: Optional[str] = ...,
    trust: str = ...,
    env: Optional[Mapping[str, str]] = ...,
    cwd: Optional[str] = ...,
    files: Files = ...,
    initializer: Optional[Callable[..., object]] = ...,
    initargs: Sequence[Any] = ...,
    owner: Optional[str] = ...,
    key: Optional[PathLike] = ...,
    cluster: Optional[PathLike] = ...,
    broker: Optional[str] = ...,
    host: Optional[str] = ...,
    port: Optional[int] = ...,
    db: Optional[int] = ...,
    password: Optional[str] = ...,
    username: Optional[str] = ...,
    unix_socket_path: Optional[str] = ...,
) -> Callable[[Callable[..., R]], Decorated[R, R]]: ...


@overload
def understudy(
    channel: Optional[str] = None,
    *,
    block: Literal[False] = ...,
    packages: Sequence[str] = ...,
    constraints: Sequence[str] = ...,
    python: Optional[str] = ...,
    queue: bool = ...,
    retries: int = ...,
    timeout: Optional[float] = ...,
    hard_timeout: Optional[float] = ...,
    expires: Optional[float] = ...,
    isolation: Optional[str] = ...,
    trust: str = ...,
    env: Optional[Mapping[str, str]] = ...,
    cwd: Optional[str] = ...,
    files: Files = ...,
    initializer: Optional[Callable[..., object]] = ...,
    initargs: Sequence[Any] = ...,
    owner: Optional[str] = ...,
    key: Optional[PathLike] = ...,
    cluster: Optional[PathLike] = ...,
    broker: Optional[str] = ...,
    host: Optional[str] = ...,
    port: Optional[int] = ...,
    db: Optional[int] = ...,
    password: Optional[str] = ...,
    username: Optional[str] = ...,
    unix_socket_path: Optional[str] = ...,
) -> Callable[[Callable[..., R]], Decorated[R, Result[R]]]: ...


def understudy(
    channel: Union[None, str, Callable[..., Any]] = None, **keywords: Any
) -> Any:
    """Makes calls of a function run on nodes that listen on a channel.

    packages=["name>=1", …], constraints=[…]: the environment it runs in; nothing else
    is installed there. python="3.11": the version it needs. block=True: wait for the
    value. queue=False: NoUnderstudiesError where no node listens. retries=N: repeat
    after an exception. timeout=S: TimeLimitExceeded is raised in the job after S
    seconds; hard_timeout=S: it is killed then. expires=S: it must start within S
    seconds. isolation="fresh": a process of its own. trust="data": load no pickles from
    nodes. env={"NAME": "value"}, cwd="/a/folder/of/the/node": variables and working
    directory, which is else an empty one. files=["here.csv"], or {"there.csv":
    "here.csv" or bytes}: what the job finds in that. initializer=f, initargs=(…):
    called once in each worker. owner="me": whose workers these are.
    broker="tcp://host:7420", or host=, port=, db=, password=, username=,
    unix_socket_path= of the Redis that lists the brokers: where to submit.
    key=, cluster=: the files of the key with which brokers on other hosts are met.
    """
    if channel is not None and not isinstance(channel, str):
        return Decorated(channel, make_options(DEFAULT_CHANNEL, **keywords))
    options = make_options(DEFAULT_CHANNEL if channel is None else channel, **keywords)

    def decorate(function: Any) -> Decorated[Any, Any]:
        return Decorated(function, options)

    return decorate
