# SPDX-License-Identifier: MIT
"""Plays the node daemon's part of docs/worker-protocol.md for tests of the worker."""

import array
import contextlib
import ctypes
import hashlib
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import envelopes

from understudy import _envelope, _msgpack

MAIN = envelopes.SOURCES / "understudy" / "_worker" / "main.py"
# Seconds; longer where whoever runs the tests says that the machine is slow.
DEADLINE = 20.0 * float(os.environ.get("UNDERSTUDY_TEST_PATIENCE", "1"))
INLINE = 64 * 1024
TOKEN = bytes(range(100, 116))

# Outcomes and flags of RESULT.
SUCCEEDED, FAILED, CANCELLED = 1, 2, 4
CHILDREN_LEFT, REPLACE_ME = 2, 4


def pair():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.settimeout(DEADLINE)
    return left, right


def until(condition, what="condition"):
    """Waits for what no descriptor tells."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        select.select([], [], [], 0.005)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def is_idle(pid):
    """Whether a worker waits for its next job, and puts everything back before it: one
    that comes within 0.3 ms belongs to a row of short jobs."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        idle = stat.read().rpartition(b")")[2].split()[0] == b"S"
    select.select([], [], [], 0.001)
    return idle


def end_group(group):
    """Kills a process group, and waits for those of it that are our children."""
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def reap_unnamed():
    """Workers that ended before they said who they are."""
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
    for pid in map(int, children.read_text().split()):
        if not is_alive(pid):
            comm = pathlib.Path(f"/proc/{pid}/comm").read_text()
            if comm.startswith("understudy"):
                os.waitpid(pid, 0)


def become_subreaper():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


class Zygote:
    """A zygote and a cache directory."""

    def __init__(self, directory, python=sys.executable):
        become_subreaper()
        self.cache = pathlib.Path(directory)
        self.scratch = self.cache / f"scratch{os.getpid()}"
        self.scratch.mkdir()
        self.slot = 0
        self.control, theirs = pair()
        command = [python, "-I", "-u", str(MAIN), "understudy-zygote"]
        self.process = subprocess.Popen(
            [*command, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": directory, "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        theirs.close()
        hello = self.control.recv(INLINE)
        assert hello[:1] == b"R", hello
        self.hello = _msgpack.unpackb(hello[1:])

    def blob(self, data):
        """Puts a blob where a daemon would."""
        digest = hashlib.sha256(data).digest()
        path = self.cache / "blobs" / digest.hex()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return [digest, str(path)]

    def bundle(self, files):
        text = {name: source.encode() for name, source in files.items()}
        return self.blob(_envelope.encode_bundle(text))

    def fork(self, *bundles, **how):
        """A worker that is told of a program and of one set of bundles."""
        forked = Worker(self)
        forked.tell_program(**how)
        forked.tell_set(*bundles)
        return forked

    def ask(self, descriptors):
        """Sends the request to fork."""
        self.slot += 1
        request = {
            "token": TOKEN,
            "cache": str(self.cache / "bundles"),
            "scratch": str(self.scratch),
            "slot": self.slot,
        }
        data = b"F" + _msgpack.packb(request)
        rights = (
            socket.SOL_SOCKET,
            socket.SCM_RIGHTS,
            array.array("i", descriptors),
        )
        self.control.sendmsg([data], [rights])

    def descriptors(self):
        return {int(name) for name in os.listdir(f"/proc/{self.process.pid}/fd")}

    def close(self):
        self.control.close()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()


class Worker:
    def __init__(self, zygote):
        self.socket, self.theirs = pair()
        self.log, write_end = os.pipe()
        zygote.ask([self.theirs.fileno(), write_end])
        os.close(write_end)
        self.pending = b""
        self.seq = 0
        self.sets = 0
        self.pid = 0
        self.buffers = []
        self.hello = self.socket.recv(INLINE * 2)
        if self.hello[:1] == b"W":
            self.pid = struct.unpack(">I", self.hello[1:])[0]

    # --- sending ----------------------------------------------------------------------

    def tell_program(self, max_payload=0, max_buffer=0, max_buffers=1 << 40, **words):
        head = struct.pack(">cQQQ", b"P", max_payload, max_buffer, max_buffers)
        self.socket.send(head + _msgpack.packb(words))

    def tell_set(self, *bundles):
        """Jobs sent from now on have these bundles."""
        head = struct.pack(">cI", b"B", self.sets)
        self.socket.send(head + _msgpack.packb(list(bundles)))
        self.sets += 1

    def send_job(
        self, body, shell=False, soft_ms=0, large=False, name=b"test", buffers=()
    ):
        """buffers: paths of files."""
        self.seq += 1
        flags = 2 if shell else 0
        large = large or len(body) > INLINE
        head = struct.pack(
            ">cIB16sIIIH",
            b"J",
            self.seq,
            flags | large,
            bytes(16),
            1,
            soft_ms,
            self.sets - 1,
            len(name),
        )
        descriptors = array.array("i")
        if large:
            descriptors.append(os.memfd_create("job"))
            os.write(descriptors[0], body)
            body = b""
        descriptors.extend(os.open(path, os.O_RDONLY) for path in buffers)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        self.socket.sendmsg([head + name + body], rights if descriptors else [])
        for fd in descriptors:
            os.close(fd)
        return self.seq

    def interrupt(self, seq, why=1):
        self.socket.send(struct.pack(">cIB", b"I", seq, why))
        os.kill(self.pid, signal.SIGUSR1)

    # --- receiving --------------------------------------------------------------------

    def result(self):
        """(outcome, flags, code, body, log); buffers are kept beside, as files."""
        log = self.read_log(self.seq)
        size = INLINE + 64
        data, ancillary, _, _ = self.socket.recvmsg(size, socket.CMSG_SPACE(4 * 16))
        kind, seq, outcome, flags, code = struct.unpack(">cIBBi", data[:11])
        assert kind == b"R" and seq == self.seq, data[:11]
        body = data[11:]
        descriptors = array.array("i")
        for _, _, rights in ancillary:
            descriptors.frombytes(rights)
        self.drop_buffers()
        self.buffers = [os.fdopen(fd, "r+b") for fd in descriptors]
        for file in self.buffers:
            file.seek(0)
        if flags & 1:
            with self.buffers.pop(0) as memfd:
                body = memfd.read()
        assert bool(self.buffers) == bool(flags & 8)
        return outcome, flags & ~9, code, body, log

    def drop_buffers(self):
        while self.buffers:
            self.buffers.pop().close()

    def read_log(self, seq):
        marker = TOKEN + struct.pack(">I", seq)
        while marker not in self.pending:
            chunk = self.read_some()
            assert chunk, "the log ended before its marker"
            self.pending += chunk
        log, _, self.pending = self.pending.partition(marker)
        return log

    def read_some(self):
        assert select.select([self.log], [], [], DEADLINE)[0], "no log in time"
        return os.read(self.log, 65536)

    def run(self, body, **how):
        self.send_job(body, **how)
        return self.result()

    def value(self, body, loads=None, **how):
        outcome, _, code, answer, _ = self.run(body, **how)
        assert outcome == 1 and code == 0, _envelope.Failure.decode(answer).traceback
        return _envelope.decode_value(answer, *([loads] if loads else []))

    def failure(self, body, **how):
        outcome, _, code, answer, _ = self.run(body, **how)
        assert outcome == 2, outcome
        failure = _envelope.Failure.decode(answer)
        assert failure.code == code
        return failure

    def wait_end(self):
        """How it died, as the daemon sees it."""
        deadline = time.monotonic() + DEADLINE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "the worker did not end"
            select.select([self.log], [], [], 0.01)
            if select.select([self.log], [], [], 0)[0]:
                self.pending += os.read(self.log, 65536)

    def close(self):
        if self.pid:
            end_group(self.pid)
        self.drop_buffers()
        self.socket.close()
        self.theirs.close()
        os.close(self.log)


@contextlib.contextmanager
def zygote(python=sys.executable):
    directory = tempfile.mkdtemp(prefix="understudy-test-")
    running = Zygote(directory, python)
    try:
        yield running
    finally:
        running.close()
        reap_unnamed()
        shutil.rmtree(directory)


@contextlib.contextmanager
def worker(files=None, **more):
    """A worker with one bundle; gives it and the bundle's digest."""
    with zygote() as running:
        bundles = [running.bundle(files)] if files is not None else []
        forked = running.fork(*bundles, **more)
        try:
            yield forked, bundles[0][0] if bundles else b""
        finally:
            forked.close()


def source_call(source, function, *args, **kwargs):
    code = envelopes.code_source(source, function)
    return envelopes.encode_call(code, envelopes.encode_args(args, kwargs))


def echo(source):
    """Calls f of a source text."""
    return source_call(source, "f")


def bundle_call(digest, function, *args, **kwargs):
    code = _envelope.code_bundle(digest, function)
    return envelopes.encode_call(code, envelopes.encode_args(args, kwargs))


def run_tests(scope):
    """For interpreters without pytest."""
    for name, test in list(scope.items()):
        if name.startswith("test_") and callable(test):
            began = time.monotonic()
            test()
            print(f"{name}: {time.monotonic() - began:.2f} s", flush=True)
