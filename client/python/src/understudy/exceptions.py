# SPDX-License-Identifier: MIT
"""Every failure Understudy reports.

    UnderstudyError
     +-- InvalidArgument, InvalidRequirement, ConfigError       (also ValueError)
     +-- BrokerUnreachable, StoreUnavailable                    (also ConnectionError)
     +-- WaitTimeout                                            (also TimeoutError)
     +-- NoUnderstudiesError
     +-- SerializationError                          (also pickle.PicklingError)
     +-- PayloadTooLarge
     +-- EnvironmentBuildError, ShellError, RemoteError
     +-- WorkerDied                       (also concurrent.futures.BrokenExecutor)
     +-- JobCancelled                     (also concurrent.futures.CancelledError)
     +-- AccessDenied                                    (also PermissionError)
     +-- ClientClosed                                       (also RuntimeError)
     +-- JobNotFound, UnknownChannel, UnknownNode               (also LookupError)
     +-- ... one class for each line of include/understudy/error.h

``code`` is the number of that line, the same on the wire and in C. Failures that come
from a node carry what it said in ``detail``.
"""

from __future__ import annotations

import re
from concurrent.futures import BrokenExecutor, CancelledError
from pickle import PicklingError
from typing import Any, Dict, List, Mapping, Optional, Type

_LINES_SHOWN = 20
_COMMAND_SHOWN = 200
_REASON_SHOWN = 500


class UnderstudyError(Exception):
    """What all exceptions of Understudy derive from."""

    code: int = -1
    summary: str = "internal error"

    def __init__(
        self,
        message: Optional[str] = None,
        *,
        detail: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(self.summary if message is None else message)
        self.detail: Dict[str, Any] = dict(detail or {})

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.summary


class InternalError(UnderstudyError):
    code = -1
    summary = "internal error"


class OutOfMemory(UnderstudyError, MemoryError):
    code = -2
    summary = "out of memory"


class InvalidArgument(UnderstudyError, ValueError):
    code = -3
    summary = "invalid argument"


class ProtocolError(UnderstudyError):
    code = -4
    summary = "malformed message"


class UnsupportedError(UnderstudyError):
    code = -5
    summary = "unknown message type or version"


class PayloadTooLarge(UnderstudyError):
    """An argument, a result or a piece of code is over the limit."""

    code = -6
    summary = "payload is over the limit"


class BrokerUnreachable(UnderstudyError, ConnectionError):
    code = -7
    summary = "no broker answers"


class WaitTimeout(UnderstudyError, TimeoutError):
    """Only the waiting ended; the job goes on."""

    code = -8
    summary = "timed out"


class NoUnderstudiesError(UnderstudyError):
    """queue=False, and no node listens on the channel."""

    code = -9
    summary = "no node listens on the channel"


class JobNotFound(UnderstudyError, LookupError):
    code = -10
    summary = "no such job"


class JobConflict(UnderstudyError):
    code = -11
    summary = "another job has this id"


class StoreFull(UnderstudyError):
    code = -12
    summary = "the store (Redis) is full"


class StaleAttempt(UnderstudyError):
    code = -13
    summary = "somebody else holds the job"


class JobEnded(UnderstudyError):
    code = -14
    summary = "the job has ended"


class JobRunning(UnderstudyError):
    code = -15
    summary = "the job is running"


class InvalidRequirement(UnderstudyError, ValueError):
    code = -16
    summary = "not a package requirement"


class EnvironmentBuildError(UnderstudyError):
    """The packages could not be installed; the message has the resolver's own words."""

    code = -17
    summary = "the environment cannot be built"

    @property
    def node(self) -> str:
        return str(self.detail.get("node", ""))

    @property
    def command(self) -> str:
        return str(self.detail.get("command", ""))

    @property
    def output(self) -> str:
        """The end of what the tools printed."""
        return str(self.detail.get("output", ""))

    @property
    def reason(self) -> str:
        """The resolver's or installer's own words, in one line; "" where it said
        nothing that is known as such."""
        return _reason(self.output or super().__str__())

    def __str__(self) -> str:
        text = super().__str__()
        if self.command and text.startswith(f"{self.command}: "):
            text = text[len(self.command) + 2 :]
        if self.reason and not text.startswith(self.reason):
            text = f"{self.reason}\n{text}"
        return _with_lines(text, self.output)


class WorkerDied(UnderstudyError, BrokenExecutor):
    """The process that ran the job died, three times."""

    code = -18
    summary = "the worker died"

    @property
    def signal(self) -> Optional[int]:
        return self.detail.get("signal") or None

    @property
    def exit_code(self) -> Optional[int]:
        return None if self.signal else self.detail.get("exit_code")

    @property
    def log(self) -> str:
        """The last lines it wrote."""
        return str(self.detail.get("log", ""))

    def __str__(self) -> str:
        text = super().__str__()
        name = _signal_name(self.signal)
        if name and name not in text:
            text = f"{text} ({name})"
        return _with_lines(text, self.log, "the last lines of its log:")


class SerializationError(UnderstudyError, PicklingError):
    """Code, an argument or a result cannot travel."""

    code = -19
    summary = "cannot be serialised"


class PythonVersionError(UnderstudyError):
    code = -20
    summary = "needs another Python version"


class JobCancelled(UnderstudyError, CancelledError):
    code = -21
    summary = "the job was cancelled"


class JobExpired(UnderstudyError):
    code = -22
    summary = "the job did not start in time"


class TimeLimitExceeded(UnderstudyError):
    code = -23
    summary = "the job ran over its time limit"


class RemoteError(UnderstudyError):
    """An exception in the job that cannot be rebuilt here."""

    code = -24
    summary = "exception in the job"

    @property
    def type_name(self) -> str:
        """Name of the exception's class, with its module."""
        return str(self.detail.get("type", ""))

    @property
    def status(self) -> Optional[int]:
        """Where the job has called sys.exit: the status that it wanted to end with."""
        return self.detail.get("exit_status")

    @property
    def traceback(self) -> str:
        return str(self.detail.get("traceback", ""))


class ShellError(UnderstudyError):
    """A shell command ended with something else than 0."""

    code = -25
    summary = "the shell command failed"

    @property
    def exit_code(self) -> Optional[int]:
        return self.detail.get("exit_code")

    @property
    def signal(self) -> Optional[int]:
        return self.detail.get("signal") or None

    @property
    def command(self) -> str:
        """The command line."""
        return str(self.detail.get("command", ""))

    @property
    def output(self) -> Any:
        """Its standard output: text where it is UTF-8, bytes otherwise."""
        return self.detail.get("output", "")

    @property
    def log(self) -> str:
        """The last lines of both its streams, where the node has told them."""
        return str(self.detail.get("log", ""))

    def __str__(self) -> str:
        text = super().__str__()
        command = " ".join(self.command.split())
        if command and command not in text:
            shown = command[:_COMMAND_SHOWN] + "…" * (len(command) > _COMMAND_SHOWN)
            text = f"{text}: {shown}"
        output = self.log or self.output
        if isinstance(output, bytes):
            output = output.decode(errors="replace")
        return "\n".join([text, *_last_lines(output)])


class MissingBlob(UnderstudyError):
    code = -26
    summary = "a blob is missing"


class StoreUnavailable(UnderstudyError, ConnectionError):
    code = -27
    summary = "the store (Redis) does not answer"


class ClientClosed(UnderstudyError, RuntimeError):
    """The program is ending, and no job can be submitted any more."""

    code = -28
    summary = "the client is closed"


class AmbiguousId(UnderstudyError, LookupError):
    code = -29
    summary = "several jobs begin like this"


class NodeLost(UnderstudyError):
    code = -30
    summary = "the nodes that ran the job vanished"


class UnknownChannel(UnderstudyError, LookupError):
    code = -31
    summary = "no such channel"


class UnknownNode(UnderstudyError, LookupError):
    code = -32
    summary = "no such node"


class UnknownPeer(UnderstudyError):
    code = -33
    summary = "say HELLO first"


class InterruptedWait(UnderstudyError, InterruptedError):
    code = -34
    summary = "interrupted by a signal"


class SystemFailure(UnderstudyError, OSError):
    code = -35
    summary = "the operating system refused"


class ConfigError(UnderstudyError, ValueError):
    code = -36
    summary = "the configuration is wrong"


class AccessDenied(UnderstudyError, PermissionError):
    code = -37
    summary = "this key may not do that"


def _reason(output: str) -> str:
    """Of uv its one paragraph, of pip its last error that tells what is wrong."""
    uv = re.search(r"^ *× (.*?)(?=^\s*$|^\S|\Z)", output, re.M | re.S)
    pip = re.findall(r"^ *error:(?! *ResolutionImpossible) *(.*)", output, re.M | re.I)
    words = uv.group(1).replace("╰─▶", "") if uv else pip[-1] if pip else ""
    return " ".join(words.split())[:_REASON_SHOWN]


def _signal_name(number: Optional[int]) -> str:
    import signal

    try:
        return "" if number is None else signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _with_lines(text: str, output: str, title: str = "") -> str:
    """A message, then the end of what a program printed, if it does not say that. A
    message that does may have lost the beginning."""
    if not output.strip("\n") or output.strip("\n")[-200:] in text:
        return text
    return "\n".join([text, *([title] if title else []), *_last_lines(output)])


def _last_lines(output: str) -> List[str]:
    lines = output.strip("\n").split("\n")[-_LINES_SHOWN:]
    return [f"  {line}" for line in lines] if output.strip("\n") else []


_BY_CODE: Dict[int, Type[UnderstudyError]] = {
    cls.code: cls
    for cls in list(globals().values())
    if isinstance(cls, type)
    and issubclass(cls, UnderstudyError)
    and cls is not UnderstudyError
}


def _from_code(
    code: int, text: str = "", detail: Optional[Mapping[str, Any]] = None
) -> UnderstudyError:
    """The exception of an error number; the number is kept where it is unknown."""
    cls = _BY_CODE.get(code, UnderstudyError)
    error = cls(text or None, detail=detail)
    if error.code != code:
        error.code = code
    return error


__all__ = sorted(
    name
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, UnderstudyError)
)
