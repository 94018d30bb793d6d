# SPDX-License-Identifier: MIT
"""Whoever comes with a good job is served, however many others come with none."""

import json
import os
import resource
import selectors
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import wait_for
from support.zmtp import Wire

pytestmark = pytest.mark.core

HELLO, WELCOME, PING, PONG = 1, 2, 3, 4
MIB = 2**20


@contextmanager
def many(count, make, answer=None):
    """So many of what make gives, with room for their descriptors. answer: called with
    each that can be read, from the first on."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    made, end, selector = [], threading.Event(), selectors.DefaultSelector()

    def answer_all():
        while answer and not end.is_set():
            for key, _ in selector.select(0.1):
                answer(key.data)

    thread = threading.Thread(target=answer_all)
    thread.start()
    try:
        for _ in range(count):
            made.append(make())
            selector.register(made[-1].socket, selectors.EVENT_READ, made[-1])
        yield made
    finally:
        end.set()
        thread.join()
        selector.close()
        for one in made:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_share(process, seconds=2.0):
    before = cpu_seconds(process)
    time.sleep(seconds)
    return (cpu_seconds(process) - before) / seconds


def serves(client):
    done = client.ctl("submit", "--wait", "--shell", "echo served")
    assert done.stdout == "served\n"


def greeting(broker):
    wire = Wire(broker.endpoint)
    wire.shake_hands()
    wire.say(HELLO, role="client", version="test", name="idle", host="h", pid=1)
    return wire


def greeted(broker):
    wire = greeting(broker)
    assert wire.frame()[1] == WELCOME
    return wire


def pong(wire):
    if wire.frame()[1] == PING:
        wire.say(PONG)


def test_descriptors_at_their_limit(broker, node, client):
    """Silent connections take what there is, but for what the broker needs itself."""
    full = broker(prefix=["prlimit", "--nofile=160:160"])
    node(full)
    here = client(full)
    serves(here)
    with many(400, lambda: Wire(full.endpoint)):
        serves(here)
        assert cpu_share(full) < 0.5
        (redis,) = (
            Path(f"/proc/{full.pid}/task/{full.pid}/children").read_text().split()
        )
        os.kill(int(redis), 9)
        wait_for(lambda: "started again" in full.output)
        serves(here)
    wait_for(lambda: "that said no HELLO" in full.output)


def test_thousands_that_are_idle(broker, node, client):
    """They answer when they are asked, and cost next to nothing."""
    crowded = broker()
    node(crowded)
    here = client(crowded)
    serves(here)
    before = crowded.rss
    with many(2000, lambda: greeting(crowded), pong):
        serves(here)
        assert crowded.rss - before < 200 * MIB
        assert cpu_share(crowded) < 0.8
        status = json.loads(here.ctl("--json", "status").stdout)
        assert status["clients"] > 2000
    serves(here)


def test_slow_handshakes(broker, node, client):
    """A byte now and then is not a sign of life."""
    slowed = broker()
    node(slowed)
    here = client(slowed)
    with many(100, lambda: Wire(slowed.endpoint)) as wires:

        def trickle():
            open_ones = 0
            for wire in wires:
                try:
                    wire.socket.sendall(b"\xff")
                    open_ones += 1
                except OSError:
                    pass
            time.sleep(0.1)
            return not open_ones

        trickle()
        serves(here)
        wait_for(trickle)
        serves(here)


def test_who_has_gone_is_not_called_endless(broker, client):
    """The system counts nothing any more for a connection that is closed."""
    left = broker()
    here = client(left)
    wire = greeted(left)
    wire.say(PONG)
    wait_for(lambda: wire.frame()[1] == PING)  # it was looked at more than once
    wire.close()
    wait_for(lambda: json.loads(here.ctl("--json", "status").stdout)["clients"] == 1)
    assert "without end" not in left.output


@pytest.mark.parametrize("says_hello", [False, True])
def test_a_message_without_end(broker, node, client, says_hello):
    """libzmq keeps it until its last frame comes: its sender is cut before that."""
    stuffed = broker()
    node(stuffed)
    here = client(stuffed)
    serves(here)
    wire = greeted(stuffed) if says_hello else Wire(stuffed.endpoint)
    if not says_hello:
        wire.shake_hands()
    sent, part, before = 0, bytes(256 * 1024), stuffed.rss
    with pytest.raises(OSError):
        while sent < 8192 * MIB:
            wire.say_more(part)
            sent += len(part)
    wire.close()
    serves(here)
    wait_for(lambda: stuffed.rss - before < 64 * MIB)
    words = "without end" if says_hello else "that said no HELLO"
    wait_for(lambda: words in stuffed.output)
