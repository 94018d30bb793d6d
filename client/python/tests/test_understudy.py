# SPDX-License-Identifier: MIT
"""start() and stop(), with programs that only pretend to be node and broker."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from support import PATIENCE
from understudy import Understudy, _understudy
from understudy.exceptions import (
    BrokerUnreachable,
    InvalidArgument,
    SystemFailure,
    UnderstudyError,
)

PROGRAM = """
    #!{python}
    import json, os, signal, sys
    sys.path = []
    name, flags = os.path.basename(sys.argv[0]), sys.argv[1:]
    code = int(os.environ.get("FAKE_" + name[11:].upper(), 0))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    redis = os.environ.get("UNDERSTUDY_REDIS", "")
    line = json.dumps([name, os.getpid(), os.getsid(0), flags, redis]) + "\\n"
    with open({log!r}, "a") as log:
        log.write(line)
    if code:
        sys.exit(code)
    os.write(int(flags[flags.index("--ready-fd") + 1]), b"ready\\n")
    signal.sigwait([signal.SIGTERM])  # not pause: it may have come before
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The programs; gives what was started so far: name, pid, session, flags, Redis."""
    log = tmp_path / "log"
    log.touch()
    for name in ("understudy-node", "understudy-broker"):
        file = tmp_path / name
        source = PROGRAM.format(python=f"{sys.executable} -IS", log=str(log))
        file.write_text(textwrap.dedent(source).lstrip())
        file.chmod(0o755)
    monkeypatch.setenv("UNDERSTUDY_BIN_DIR", str(tmp_path))
    monkeypatch.delenv("UNDERSTUDY_REDIS", raising=False)
    monkeypatch.setattr(_understudy, "_RESTART_SECONDS", 0.01)
    monkeypatch.setattr(_understudy, "_default_broker", lambda: "tcp://127.0.0.1:7420")
    monkeypatch.setattr(_understudy, "_answers", lambda *args: False)

    def started(name=None):
        *lines, _ = log.read_text().split("\n")  # the last may be half written
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if name in (None, row[0])]

    yield started
    for _, pid, *_ in started():
        if runs_from(tmp_path, pid):  # not another one's that has its number by now
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def runs_from(folder, pid):
    try:
        return os.fsencode(folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Started:
    """start() in a thread."""

    def __init__(self, understudy):
        self.understudy = understudy
        self.error = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.understudy.start()
        except UnderstudyError as error:
            self.error = error

    def stop(self):
        self.understudy.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


def test_a_broker_that_answers_is_used(programs, monkeypatch):
    monkeypatch.setattr(_understudy, "_answers", lambda *args: True)
    running = Started(Understudy("calculator", slots=3, name="me"))
    wait_for(programs)
    ((name, pid, session, flags, _),) = programs()
    assert (name, session) == ("understudy-node", pid)
    text = " ".join(flags)
    assert "--channel calculator" in text
    assert f"--parent-pid {os.getpid()}" in text
    assert "--broker tcp://127.0.0.1:7420" in text
    assert "--slots 3" in text
    assert "--name me" in text
    assert running.thread.is_alive()
    running.stop()
    assert not alive(pid)
    assert running.error is None


def test_a_broker_is_started_where_none_answers(programs, capfd):
    running = Started(Understudy("calculator"))
    wait_for(lambda: programs("understudy-node"))
    ((_, broker, session, flags, redis),) = programs("understudy-broker")
    text = " ".join(flags)
    assert "--bind tcp://127.0.0.1:7420" in text
    assert "--exit-when-idle 5s" in text
    assert "--redis" not in text and redis == ""
    assert session == broker
    running.stop()
    assert alive(broker)  # it ends by itself
    assert (
        "no broker answers at tcp://127.0.0.1:7420; starting" in capfd.readouterr().err
    )


def test_with_the_redis_that_was_named(programs):
    running = Started(Understudy(host="redis.example", db=2, password="secret"))
    wait_for(lambda: programs("understudy-node"))
    ((*_, broker, brokers),) = programs("understudy-broker")
    ((*_, node, nodes),) = programs("understudy-node")
    assert brokers == nodes == "redis://:secret@redis.example:6379/2"
    assert "--bind ipc://*" in " ".join(broker)
    assert "--broker" not in node
    assert "secret" not in " ".join([*broker, *node])  # everybody can read flags
    running.stop()


def test_with_the_redis_of_the_variable(programs, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_REDIS", "redis://:secret@redis.example:6379/0")
    monkeypatch.setattr(
        _understudy, "_default_broker", lambda: "redis://redis.example:6379/0"
    )
    running = Started(Understudy())
    wait_for(lambda: programs("understudy-node"))
    ((*_, broker, brokers),) = programs("understudy-broker")
    ((*_, node, nodes),) = programs("understudy-node")
    assert brokers == nodes == "redis://:secret@redis.example:6379/0"
    assert "--bind ipc://*" in " ".join(broker)
    assert "--broker" not in node
    running.stop()


def test_no_broker_far_away(programs):
    with pytest.raises(BrokerUnreachable, match="tcp://10.0.0.1:7420; start one there"):
        Understudy(broker="tcp://10.0.0.1:7420").start()
    assert programs() == []


def test_a_broker_that_cannot_start(programs, monkeypatch):
    monkeypatch.setenv("FAKE_BROKER", "73")
    with pytest.raises(BrokerUnreachable, match="exit code 73"):
        Understudy().start()
    assert programs("understudy-node") == []


def test_somebody_else_was_faster(programs, monkeypatch):
    monkeypatch.setenv("FAKE_BROKER", "71")
    answers = iter([False, True])
    monkeypatch.setattr(_understudy, "_answers", lambda *args: next(answers))
    running = Started(Understudy())
    wait_for(lambda: programs("understudy-node"))
    running.stop()
    assert running.error is None


def test_a_broker_that_dies_is_started_again(programs):
    running = Started(Understudy())
    wait_for(lambda: programs("understudy-node"))
    os.kill(programs("understudy-broker")[0][1], signal.SIGKILL)
    wait_for(lambda: len(programs("understudy-broker")) == 2)
    running.stop()
    assert running.error is None


def test_a_node_that_ends_by_itself(programs, monkeypatch):
    monkeypatch.setattr(_understudy, "_answers", lambda *args: True)
    monkeypatch.setenv("FAKE_NODE", "78")
    with pytest.raises(
        UnderstudyError, match="understudy-node ended with exit code 78"
    ):
        Understudy().start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_and_handlers_are_restored(programs, number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def kill():
        wait_for(lambda: programs("understudy-node"))
        os.kill(os.getpid(), number)

    killer = threading.Thread(target=kill)
    killer.start()
    Understudy().start()
    killer.join()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert not alive(programs("understudy-node")[0][1])


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_signal_just_before_a_sleep_is_noticed(monkeypatch, seconds):
    """It does not end the sleep: handlers run where that is over."""
    asked = []

    class Poll:
        def register(self, fd, events):
            pass

        def poll(self, ms):
            asked.append(ms)
            return [(0, 1)] * (len(asked) == 3)

    monkeypatch.setattr(_understudy.select, "poll", Poll)
    assert _understudy._poll((0,), seconds)
    assert len(asked) == 3 and max(asked) <= 1000


def test_stop_before_start_and_start_twice(programs):
    understudy = Understudy()
    understudy.stop()
    understudy.start()
    assert programs("understudy-node") == []
    running = Started(understudy)
    wait_for(lambda: programs("understudy-node"))
    with pytest.raises(RuntimeError):
        understudy.start()
    running.stop()
    understudy.stop()
    understudy.start()
    assert len(programs("understudy-node")) == 1


def test_nothing_is_left_open(programs):
    def opened():
        found = set()
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # listdir's own
                found.add((fd, os.readlink(f"/proc/self/fd/{fd}")))
        return found

    before = opened()  # some of an earlier test's may still be on their way out
    running = Started(Understudy())
    wait_for(lambda: programs("understudy-node"))
    running.stop()
    assert opened() <= before


def test_programs_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(_understudy, "_program_folders", lambda: iter([str(tmp_path)]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemFailure, match="understudy-node was not found"):
        _understudy._find_program("understudy-node")


def test_keywords():
    with pytest.raises(InvalidArgument):
        Understudy("bad channel")
    with pytest.raises(InvalidArgument):
        Understudy(slots=0)
    with pytest.raises(InvalidArgument):
        Understudy(broker="tcp://a:1", host="h")
    with pytest.raises(TypeError):
        Understudy(no_such_keyword=1)
    assert Understudy(queue=True).channel == "default"
    copy = pickle.loads(pickle.dumps(Understudy("c", host="h", slots=2)))
    assert (copy.channel, copy._slots) == ("c", 2)
    assert copy._settings.redis == "redis://h:6379/0"
