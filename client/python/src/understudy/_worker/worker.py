# SPDX-License-Identifier: MIT
"""The worker: takes jobs from its socket, one at a time, until it is told to leave.

The loop is the path of every job, so it does little: what can be prepared is prepared
in start, what was found is kept by Calls. Jobs run on the main thread; an interrupt is
an exception raised in the job by the handler of SIGUSR1, and only while a job runs.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found, unused-ignore]
import array
import atexit
import contextlib
import faulthandler
import fcntl
import mmap
import os
import socket
import struct
import sys
import time
import traceback
from contextvars import Context, copy_context
from types import FrameType, ModuleType
from typing import (
    Any,
    Dict,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from understudy import _buffers, _context, exceptions
from understudy._envelope import (
    FILES,
    SETUP,
    Dumps,
    Failure,
    Loads,
    encode_result,
    plain_loads,
    plain_pickle,
)
from understudy._msgpack import unpackb
from understudy._worker import (
    bundles,
    calls,
    leftovers,
    scratch,
    shell,
    streams,
    system,
    trees,
)
from understudy._worker.failures import Failures

INLINE_LIMIT = 64 * 1024
EXIT_BROKEN = 70

_SUCCEEDED, _FAILED, _CANCELLED = 1, 2, 4
_BODY_IN_MEMFD, _SHELL = 1, 2
_BUFFERS = 8  # of RESULT
_BUFFERS_MOST = 15  # a job may name 16 blobs, and its body may be one
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_CANCEL, _SOFT_LIMIT = 1, 2
_NO_LIMIT = 1 << 40

_JOB = struct.Struct(">xIB16sIIIH")
_SET = struct.Struct(">xI")
_PROGRAM = struct.Struct(">xQQQ")
_INTERRUPT = struct.Struct(">xIB")
_RESULT = struct.Struct(">cIBBi").pack
_ROOM = _JOB.size + 0xFFFF + INLINE_LIMIT
_ANCILLARY = socket.CMSG_LEN(17 * struct.calcsize("i"))  # a body and 16 buffers
_CUT_SHORT = socket.MSG_TRUNC | socket.MSG_CTRUNC
_END_SECONDS = 5.0
_CHECK_SECONDS = 0.001
_PAUSE_SECONDS = 0.0003

_Message = Tuple[bytes, List[int]]
_Apart = Sequence[memoryview]  # what goes apart from an answer


class Worker:
    def __init__(
        self,
        job_socket: socket.socket,
        job_streams: streams.Streams,
        path: bundles.SearchPath,
        failures: Failures,
        cache: str,
        own: Optional[scratch.Scratch],
    ) -> None:
        """cache: the folder of unpacked bundles."""
        self._socket = job_socket
        self._streams = job_streams
        self._path = path
        self._calls = calls.Calls(path)
        self._failures = failures
        self._max_payload = _NO_LIMIT
        self._limits: Optional[_buffers.Limits] = None  # None: nothing goes apart
        self._cache = cache
        self._scratch = own
        self._place = own.path if own else os.getcwd()  # of the files of a job
        self._problem: Optional[Failure] = None  # with its program
        self._number = -1  # of the set of bundles that is in use
        self._files: Optional[str] = None  # for the job's directory
        self._is_set_up = False
        self._is_spent = False  # it could not be set up
        self._bundles = bundles.Cache()
        self._sets: Dict[int, Union[Dict[bytes, str], Failure, bundles.Conflict]] = {}
        self._leaving = False
        self._is_fork = False
        os.register_at_fork(after_in_child=self._note_fork)
        self._room = bytearray(_ROOM)
        self._rooms = [self._room]
        # For interrupts:
        self._running = -1  # the job that runs; -1 where none does
        self._raised: Optional[BaseException] = None  # what was raised in it
        self._early = (-1, 0)  # job and reason of the last interrupt that came
        self._look_again = True  # an interrupt may stand behind the job just taken
        self._soft_ms = 0
        self._taken: List[_Message] = []
        _signal.signal(_signal.SIGUSR1, self._on_interrupt)
        self._leftovers = leftovers.Leftovers()
        self._context: Optional[Context] = None  # of the last job's run
        self._unchecked = False  # a job has run since the slow comparisons
        self._worked = 0.0  # seconds since then
        self._checked_at = 0.0
        self._loading: Optional[Tuple[int, int]] = None  # modules and places before it
        self._calls.before_load = self._before_load

    def serve(self) -> None:
        """Until END or the end of the daemon."""
        self._socket.send(b"W" + struct.pack(">I", os.getpid()))
        while True:
            message, descriptors = self._taken.pop(0) if self._taken else self._next()
            kind = message[:1]
            if self._leaving and kind not in (b"Q", b""):
                continue  # it goes back to the daemon
            if kind == b"J":
                self._serve_job(message, descriptors)
            elif kind == b"B":
                self._take_set(message)
            elif kind == b"P":
                self._join(message)
            elif kind == b"I":
                self._early = _INTERRUPT.unpack_from(message)
            elif kind in (b"Q", b""):
                return

    def _note_fork(self) -> None:
        self._is_fork = True

    def _next(self) -> _Message:
        """The next datagram. What is slow to compare is compared while none waits, or
        after each millisecond of work. In a row of short jobs none waits often: what
        was compared just now is not again, unless the next job comes after a pause."""
        if not self._unchecked:
            return self._take()
        if self._worked < _CHECK_SECONDS:
            try:
                return self._take(socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
        if time.monotonic() - self._checked_at > _CHECK_SECONDS:
            self._check_slowly()
            return self._take()
        ended = time.monotonic()
        taken = self._take()
        if time.monotonic() - ended > _PAUSE_SECONDS:
            self._check_slowly()
        return taken

    def _check_slowly(self) -> None:
        self._unchecked = False
        self._worked = 0.0
        self._checked_at = time.monotonic()
        self._streams.put_back_slow()
        if not self._leftovers.put_back_slow():
            self._leave("what a job has left behind cannot be put back")

    def _leave(self, why: str) -> None:
        """Asks to be replaced, and begins with no job any more: the daemon takes back
        what it has sent."""
        self._leaving = True
        self._socket.send(b"L" + why.encode("utf-8", "replace")[:1000])

    def _take(self, flags: int = 0) -> _Message:
        """The next datagram; empty at the end of the daemon."""
        size, ancillary, flags, _ = self._socket.recvmsg_into(
            self._rooms, _ANCILLARY, flags | socket.MSG_CMSG_CLOEXEC
        )
        if flags & _CUT_SHORT:
            raise ValueError("a datagram over the limit")
        message = bytes(memoryview(self._room)[:size])
        return message, system.descriptors_of(ancillary) if ancillary else []

    # --- Program and bundles ----------------------------------------------------------

    def _join(self, message: bytes) -> None:
        """The worker is one of this program from now on."""
        numbers = _PROGRAM.unpack_from(message)
        self._max_payload = numbers[0] or _NO_LIMIT
        if numbers[1]:
            self._limits = _buffers.Limits(_BUFFERS_MOST, *numbers[1:])
        words = unpackb(message[_PROGRAM.size :])
        for line in words.get("env", ()):
            name, _, value = line.partition("=")
            os.environ[name] = value
        if "cwd" in words:
            self._move_to(words["cwd"])
        self._leftovers.take()

    def _move_to(self, place: str) -> None:
        try:
            os.chdir(place)
        except OSError as exc:
            message = f"cwd={place!r} is no place to work in: {exc.strerror}"
            self._problem = Failure(exceptions.SystemFailure.code, "OSError", message)
        self._leftovers.stay()

    def _take_set(self, message: bytes) -> None:
        """Unpacks a set of bundles into a process that the last job has left clean.
        A blob that has gone, or is damaged, is fetched anew by the daemon."""
        if self._unchecked:
            self._check_slowly()
        number = _SET.unpack_from(message)[0]
        try:
            named = unpackb(message[_SET.size :])
            places, held = self._bundles.unpack(self._cache, named)
            self._path.add(places, held)
            self._sets[number] = places
        except trees.BlobGone as exc:
            self._sets[number] = bundles.Conflict(str(exc))
        except (OSError, exceptions.ProtocolError) as exc:
            self._sets[number] = _not_unpacked(exc)
        self._leftovers.take()
        if self._number < 0 and self._has_time():
            self._rehearse(number)

    def _has_time(self) -> bool:
        """No message waits."""
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return False
        except BlockingIOError:
            return True

    def _rehearse(self, number: int) -> None:
        """A worker that is told of a set before it gets its first job prepares for it,
        and touches the memory that it will touch, of which a process just forked has
        no copy of its own yet."""
        places = self._sets[number]
        if isinstance(places, dict):
            with contextlib.suppress(Exception):  # the job will meet it, and tell
                self._calls.prepare(places)
        self._leftovers.take()
        context = copy_context()
        context.run(encode_result, None)
        self._leftovers.end_job(context)
        self._leftovers.put_back_slow()

    def _use_set(self, number: int) -> Optional[Failure]:
        """The failure of a job whose bundles cannot be unpacked. Conflict: it needs
        another process."""
        if self._problem is not None:
            return self._problem
        found = self._sets[number]
        if isinstance(found, bundles.Conflict):
            raise found
        if isinstance(found, Failure):
            return found
        self._path.places = found
        self._files = self._path.find(FILES)
        self._number = number
        return None

    def _set_up(self) -> None:
        """Calls the initializer of the program, once and outside the limits of the job
        that comes first. What it raises comes through, and is that job's."""
        self._is_set_up = True
        path = self._path.find(SETUP)
        if path is None:
            return
        with open(path, "rb") as stream:
            body = stream.read()
        self._socket.send(b"S\1")
        self._is_spent = True
        try:
            self._calls.set_up(body)
            self._is_spent = False
        finally:
            self._socket.send(b"S\0")
        self._streams.take()
        self._leftovers.take()

    # --- One job ----------------------------------------------------------------------

    def _serve_job(self, message: bytes, descriptors: List[int]) -> None:
        began = time.monotonic()
        seq, flags, _, _, self._soft_ms, number, name_len = _JOB.unpack_from(message)
        body = message[_JOB.size + name_len :]
        if flags & _BODY_IN_MEMFD:
            body = _read_all(descriptors[0])
            descriptors = descriptors[1:]
        outcome, code, answer, apart = self._run(seq, flags, number, body, descriptors)
        if descriptors:  # the job did not come to load its arguments
            _close(descriptors)
        if self._leaving:
            return
        self._raised = None  # it holds on to the job's frames
        if self._is_fork:
            os._exit(1)  # a child of the job's went on where only the worker should
        self._streams.end_job(seq)
        left = self._leftovers.end_job(self._context)
        if self._is_spent:
            left |= leftovers.REPLACE_ME
        self._context = None
        self._unchecked = True
        if apart or len(answer) > INLINE_LIMIT:
            self._send_large((seq, outcome, left, code), answer, apart)
        else:
            self._socket.send(_RESULT(b"R", seq, outcome, left, code) + answer)
        if self._scratch is not None and not self._scratch.put_back():
            self._leave("the scratch directory cannot be emptied")
        self._worked += time.monotonic() - began

    def _send_large(
        self, head: Tuple[int, int, int, int], answer: bytes, apart: _Apart
    ) -> None:
        """A result with descriptors: a large body, then its buffers."""
        seq, outcome, flags, code = head
        parts: List[Tuple[Union[bytes, memoryview], bool]] = []
        if len(answer) > INLINE_LIMIT:
            parts.append((answer, False))
            flags |= _BODY_IN_MEMFD
            answer = b""
        if apart:
            parts += [(buffer, True) for buffer in apart]
            flags |= _BUFFERS
        descriptors = array.array("i")
        try:
            for data, is_buffer in parts:
                descriptors.append(_memory_file(data, is_buffer))
            self._socket.sendmsg(
                [_RESULT(b"R", seq, outcome, flags, code), answer],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)],
            )
        finally:
            for fd in descriptors:
                os.close(fd)

    def _run(
        self,
        seq: int,
        flags: int,
        number: int,
        body: bytes,
        descriptors: List[int],
    ) -> Tuple[int, int, bytes, _Apart]:
        """Outcome, code and body of RESULT, and the buffers that go apart.
        descriptors: of those that belong to the job's body; what is left in the list
        is still open."""
        dumps: Dumps = plain_pickle
        loads: Loads = plain_loads
        limits = self._limits
        own = True  # an exception now is the runtime's, not the job's
        # Two levels: an interrupt may come just as the inner one is left.
        try:
            try:
                self._running = seq
                if self._early[0] == seq or self._look_again:
                    self._catch_up(seq)
                if number != self._number:
                    problem = self._use_set(number)
                    if problem is not None:
                        return _FAILED, problem.code, problem.encode(), ()
                    if not self._is_set_up:
                        own = False
                        self._set_up()
                        own = True
                if self._files is not None:
                    scratch.copy(self._files, self._place)
                if flags & _SHELL:
                    value: Any = shell.run(body, self._max_payload)
                else:
                    target = self._calls.find(body)
                    if self._loading is not None:
                        self._take_baseline()
                    dumps, loads = target.dumps, target.check
                    if target.is_whole:
                        limits = None
                    args, kwargs = self._calls.args(target, body, _mapped(descriptors))
                    if target.owner:
                        target.equip(args)
                    own = False
                    self._context = copy_context()
                    value = self._context.run(target.call, args, kwargs)
                    own = True
            finally:
                self._running = -1
            return (_SUCCEEDED, 0, *encode_result(value, dumps, limits))
        except BaseException as exc:
            self._running = -1
            if self._is_fork:
                _leave_fork(exc)
            if isinstance(exc, bundles.Conflict):
                self._leave(str(exc))
                return _FAILED, 0, b"", ()
            return (*self._explain(exc, dumps, loads, own), ())

    def _explain(
        self, exc: BaseException, dumps: Dumps, loads: Loads, own: bool
    ) -> Tuple[int, int, bytes]:
        raised = self._raised
        if isinstance(raised, exceptions.JobCancelled):
            return _CANCELLED, raised.code, b""
        if isinstance(exc, shell.ShellFailed):
            failure = exc.failure
        else:
            own = exc is raised or (own and isinstance(exc, exceptions.UnderstudyError))
            failure = self._failures.of(exc, dumps, loads, own)
        return _FAILED, failure.code, failure.encode()

    def _before_load(self) -> None:
        """Modules are loaded into a process that the last job has left clean."""
        if self._unchecked:
            self._check_slowly()
        self._loading = len(sys.modules), len(sys.path)

    def _take_baseline(self) -> None:
        """After a function was found; if that has brought modules."""
        before, self._loading = self._loading, None
        if before != (len(sys.modules), len(sys.path)):
            self._streams.take()
            self._leftovers.take()

    # --- Interrupts -------------------------------------------------------------------

    def _on_interrupt(self, signum: int, frame: Optional[FrameType]) -> None:
        try:
            head = self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if head != b"I":
                # It stands behind a job that was sent before it.
                self._look_again = head in (b"J", b"B", b"P")
                return
            # Not into the room of _take, which this handler may have interrupted.
            message, ancillary, _, _ = self._socket.recvmsg(
                _ROOM, _ANCILLARY, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        if message[:1] != b"I":
            # The daemon has taken it back in between.
            self._taken.append((message, system.descriptors_of(ancillary)))
            return
        self._early = _INTERRUPT.unpack_from(message)
        if self._early[0] == self._running:
            self._raise()

    def _catch_up(self, seq: int) -> None:
        """Interrupts that were there before their job began."""
        if self._early[0] == seq:
            self._raise()
        self._look_again = False
        self._on_interrupt(_signal.SIGUSR1, None)

    def _raise(self) -> NoReturn:
        _, why = self._early
        self._early = (-1, 0)
        if why == _CANCEL:
            self._raised = exceptions.JobCancelled("the job was cancelled")
        else:
            limit = self._soft_ms / 1000
            self._raised = exceptions.TimeLimitExceeded(
                f"the job ran over its soft time limit of {limit:g} s"
            )
        raise self._raised


def _not_unpacked(exc: Exception) -> Failure:
    message = f"the job's modules cannot be unpacked: {exc}"
    code = exceptions.SystemFailure.code
    if isinstance(exc, exceptions.ProtocolError):
        code = exc.code
    return Failure(code, type(exc).__name__, message, type(exc).__module__)


def _read_all(fd: int) -> bytes:
    """What a memfd holds; closes it."""
    try:
        size = os.fstat(fd).st_size
        parts: List[bytes] = []
        done = 0
        while done < size:
            part = os.pread(fd, size - done, done)
            if not part:
                break
            parts.append(part)
            done += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(fd)


def _mapped(descriptors: List[int]) -> List[mmap.mmap]:
    """The buffers in these files, which may be written to: what is written stays here.
    Closes the descriptors."""
    try:
        return [mmap.mmap(fd, 0, access=mmap.ACCESS_COPY) for fd in descriptors]
    finally:
        _close(descriptors)


def _close(descriptors: List[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _memory_file(data: Union[bytes, memoryview], is_buffer: bool) -> int:
    """A memory file with these bytes; that of a buffer nobody can change any more, for
    the daemon goes on to use it where it is."""
    fd = os.memfd_create(
        "understudy-result", os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if is_buffer else 0)
    )
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if is_buffer:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _leave_fork(exc: BaseException) -> NoReturn:
    """A job has forked, and its child ends as a program does."""
    status = 1
    try:
        if isinstance(exc, SystemExit):
            status = exc.code if type(exc.code) is int else int(exc.code is not None)
        else:
            traceback.print_exception(type(exc), exc, exc.__traceback__)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status & 0xFF)


# --- Beginning and end ----------------------------------------------------------------


def start(
    job_socket: socket.socket,
    pipe: int,
    request: Mapping[str, Any],
    path: bundles.SearchPath,
    runtime: str,
) -> NoReturn:
    """Life of a worker, from just after the fork."""
    status = EXIT_BROKEN
    try:
        job_socket, pipe = _move(job_socket, pipe)
        _settle(pipe)
        lines = streams.Streams(pipe, request["token"], system.make_c_flush())
        failures = Failures(runtime, path.relative)
        own = _find_place(request)
        Worker(job_socket, lines, path, failures, request["cache"], own).serve()
        status = 0
        _say_goodbye()
    except (ConnectionError, streams.PipeClosed):
        pass  # the daemon is gone: nobody to tell
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _move(job_socket: socket.socket, pipe: int) -> Tuple[socket.socket, int]:
    """Both to descriptors that a job does not meet by counting."""
    moved = system.keep_descriptor(job_socket.detach())
    return socket.socket(fileno=moved), system.keep_descriptor(pipe)


def _settle(pipe: int) -> None:
    """Makes the process what a job expects to run in."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    faulthandler.enable(pipe)
    system.adopt_orphans()
    # Jobs find no program in __main__: what they pickle of theirs goes by value.
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = ["understudy-worker"]
    _reseed()
    _context.in_worker = True


def _find_place(request: Mapping[str, Any]) -> Optional[scratch.Scratch]:
    """Where the jobs run."""
    own = None
    if request.get("scratch"):
        own = scratch.Scratch(request["scratch"], request["slot"])
        tempfile: Any = sys.modules.get("tempfile")
        if tempfile is not None:
            tempfile.tempdir = None
    place = request.get("directory") or (own.path if own else "")
    if place:
        os.chdir(place)
    return own


def _reseed() -> None:
    """What is not loaded yet takes its seed from the system when it is."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed()


def _say_goodbye() -> None:
    """What the jobs' modules have registered for the end; not for long."""
    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    _signal.setitimer(_signal.ITIMER_REAL, _END_SECONDS)
    atexit._run_exitfuncs()
    sys.stdout.flush()
