# SPDX-License-Identifier: MIT
"""The C extension alone: types, errors, waits, cycles and leaks; no broker needed."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import re
import signal
import socket
import threading
import time
import weakref
from pathlib import Path

import fake_core
import pytest

from support import PATIENCE
from understudy import _core, exceptions

# [1, {"source": "", "name": "f"}, ["m", [[], {}]]], as in docs/protocol.md section 8
CALL = b"\x93\x01\x82\xa6source\xa0\xa4name\xa1f\x92\xa1m\xc4\x03\x92\x90\x80"
# Seconds. What should be at once is so on a busy machine, what should wait is not.
PROMPT, LONG = 25 * PATIENCE, 50 * PATIENCE
INCLUDE = Path(__file__).resolve().parents[3] / "include/understudy"


@pytest.fixture
def silent():
    """The address of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def client(silent):
    client = _core.Client(broker=silent, connect_timeout=60, name="tests")
    yield client
    client.close()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_errors_are_those_of_the_header():
    pattern = r'X \((\w+), (-\d+), "([^"]+)", "(\w+)"\)'
    rows = re.findall(pattern, (INCLUDE / "error.h").read_text())
    wanted = [(f"US_ERR_{name}", int(no), text, cls) for name, no, text, cls in rows]
    assert list(_core.ERRORS) == wanted
    assert all(hasattr(exceptions, row[3]) for row in _core.ERRORS)


def test_states_are_those_of_the_header():
    assert _core.STATES == fake_core.STATES
    assert {(0, "UNSENT", False), (15, "REFUSED", True)} <= {*_core.STATES}


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", _core.version())


def test_ids_carry_their_channel():
    one, two = _core.new_id("calculator"), _core.new_id("calculator")
    assert one != two
    assert len(one) == 16
    assert one[6] >> 4 == 8  # UUID version
    assert one[15] == hashlib.sha256(b"calculator").digest()[0]


@pytest.mark.parametrize("channel", ["", " ", "-x", "a" * 129, "no/slash", "ü", "a\0b"])
def test_channel_names_are_checked(channel):
    with pytest.raises(exceptions.InvalidArgument):
        _core.new_id(channel)


def test_default_broker(monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_BROKER", "tcp://127.0.0.1:9,tcp://127.0.0.1:10")
    assert "tcp://127.0.0.1:9" in _core.default_broker()
    assert "tcp://127.0.0.1:10" in _core.default_broker()
    monkeypatch.delenv("UNDERSTUDY_BROKER")
    assert _core.default_broker().startswith("ipc:///")


def test_blobs_are_hashed():
    assert _core.Blob(b"code").digest == hashlib.sha256(b"code").digest()
    assert _core.Blob(memoryview(b"x")).digest == hashlib.sha256(b"x").digest()
    with pytest.raises(TypeError):
        _core.Blob("text")


def test_types_cannot_be_changed():
    with pytest.raises(TypeError):
        _core.Job()
    with pytest.raises(TypeError):
        _core.Client.submit = None
    with pytest.raises(TypeError):
        type("Sub", (_core.Client,), {})


@pytest.mark.parametrize("address", ["nonsense", "http://x", ""])
def test_refused_options_are_named(address):
    with pytest.raises(exceptions.InvalidArgument, match="broker="):
        _core.Client(broker=address)
    with pytest.raises(exceptions.UnderstudyError, match="redis=") as caught:
        _core.Client(redis="secret-not-a-url")
    assert "secret" not in str(caught.value)


@pytest.fixture
def closed_port():
    """A port on which nobody listens, nor will: it is held, and refuses."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_unreachable_within_the_connect_timeout(closed_port):
    port = closed_port
    client = _core.Client(broker=f"tcp://127.0.0.1:{port}", connect_timeout=0.3)
    begin = time.monotonic()
    with pytest.raises(exceptions.BrokerUnreachable, match=str(port)):
        client.connect()
    assert time.monotonic() - begin < 5 * PATIENCE
    job = client.submit("default", b"true", shell=True)
    assert job.accepted(PROMPT) == exceptions.BrokerUnreachable.code
    assert job.state == 15
    assert job.wait(0)
    assert job.code == exceptions.BrokerUnreachable.code
    assert str(port) in job.text
    client.close()


def test_a_job_before_its_end(client):
    job = client.submit("default", b"true", shell=True)
    assert job.id[15] == hashlib.sha256(b"default").digest()[0]
    assert job.state == 0
    assert job.code == exceptions.JobRunning.code
    assert job.wait(0) is False
    assert job.wait(timeout=0.01) is False
    with pytest.raises(exceptions.WaitTimeout):
        job.accepted(0.01)
    with pytest.raises(exceptions.JobRunning):
        job.body  # noqa: B018
    assert job.read_log(0, 0, 100, 0) is None
    assert job.info["attempt"] == 0
    assert client.flush(0.01) == 1


def test_a_given_id_is_kept(client):
    identity = _core.new_id("default")
    assert client.submit("default", b"true", shell=True, id=identity).id == identity
    assert client.open(identity).id == identity


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"packages": ["-r x"]}, exceptions.InvalidRequirement, "-r x"),
        ({"packages": ["a", "; rm -rf /"]}, exceptions.InvalidRequirement, "rm"),
        ({"constraints": ["http://x/y"]}, exceptions.InvalidRequirement, "http"),
        ({"packages": "numpy"}, TypeError, "sequence of str"),
        ({"packages": [1]}, TypeError, ""),
        ({"packages": ["a\0b"]}, ValueError, "null"),
        ({"blobs": [b"x"]}, TypeError, "Blob"),
        ({"id": b"short"}, ValueError, "16 bytes"),
        ({"soft_limit": -1}, ValueError, "soft_limit"),
        ({"expires": float("nan")}, ValueError, "number"),
        ({"python": "x" * 100}, exceptions.InvalidArgument, ""),
    ],
)
def test_bad_jobs_are_refused_at_once(client, keywords, error, words):
    with pytest.raises(error, match=re.escape(words)):
        client.submit("default", b"true", shell=True, **keywords)
    with pytest.raises(ValueError, match="null"):
        client.submit("default", b"a\0b", shell=True)


def test_too_large_is_refused_at_once(silent):
    client = _core.Client(broker=silent, max_payload=1000)
    assert client.max_payload == 1000
    with pytest.raises(exceptions.PayloadTooLarge):
        client.submit("default", b"x" * 1001, shell=True)
    client.close()


def test_ctrl_c_ends_a_wait(client):
    job = client.submit("default", b"true", shell=True)
    main = threading.main_thread().ident
    for wait in (job.wait, job.accepted, lambda: client.wait_events(None)):
        timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):  # this thread may be slower than it
            timer.start()
            wait()
        assert time.monotonic() - begin < PROMPT
        timer.join()


def test_ctrl_c_that_another_thread_took_ends_a_wait(client):
    job = client.submit("default", b"true", shell=True)
    taker = threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT))
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        taker.start()
        job.wait(LONG)
    assert time.monotonic() - begin < PROMPT
    taker.join()


def test_a_wait_in_parts_ends_at_its_time(client):
    job = client.submit("default", b"true", shell=True)
    begin = time.monotonic()
    assert not job.wait(0.7)
    assert 0.7 <= time.monotonic() - begin < 2 * PATIENCE


def test_other_signals_do_not_end_a_wait(client):
    job = client.submit("default", b"true", shell=True)
    seen = []
    previous = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        for _ in range(100):  # a busy machine may let few through
            begin = time.monotonic()
            assert job.wait(0.3) is False
            assert time.monotonic() - begin >= 0.3
            if len(seen) > 3:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert len(seen) > 3


def test_waits_let_other_threads_run(client):
    job = client.submit("default", b"true", shell=True)
    done = threading.Event()

    def wait():
        with contextlib.suppress(exceptions.ClientClosed):
            job.wait(PROMPT)
        done.set()

    thread = threading.Thread(target=wait)
    thread.start()
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
    assert not done.is_set()
    client.close()
    thread.join()


def test_close_ends_all_waits(silent):
    client = _core.Client(broker=silent, connect_timeout=60)
    job = client.submit("default", b"true", shell=True, events=_core.EVENT_ENDED)
    outcome = {}

    def collect(name, wait):
        try:
            outcome[name] = wait()
        except exceptions.UnderstudyError as error:
            outcome[name] = type(error)

    waits = {
        "events": lambda: client.wait_events(None),
        "job": job.wait,
        "accepted": job.accepted,
    }
    threads = [threading.Thread(target=collect, args=item) for item in waits.items()]
    for thread in threads:
        thread.start()
    time.sleep(0.1)  # not a wait for a condition: the earlier, the harder for close
    client.close()
    client.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert outcome["events"] == []
    assert outcome["job"] in (exceptions.ClientClosed, True)
    with pytest.raises(exceptions.ClientClosed):
        client.submit("default", b"true", shell=True)
    assert client.wait_events(0) == []


def test_events_come_with_job_and_user():
    client = _core.Client(broker="tcp://127.0.0.1:1", connect_timeout=0.1)
    user = object()
    wanted = _core.EVENT_ENDED | _core.EVENT_ACCEPTED
    job = client.submit("default", b"true", shell=True, events=wanted, user=user)
    seen = 0
    while not seen & _core.EVENT_ENDED:
        events = client.wait_events(PROMPT)
        assert events
        for types, its_job, its_user in events:
            assert its_job is job
            assert its_user is user
            seen |= types
    assert client.wait_events(0) == []
    # What has happened already comes at once, to the user named last.
    job.subscribe(_core.EVENT_ENDED, "again")
    assert client.wait_events(PROMPT) == [(_core.EVENT_ENDED, job, "again")]
    client.close()


class Holder:
    """Can be watched, and can hold anything."""


def test_cycles_are_collected(silent):
    """holder → client → subscription → (job, holder)."""
    holder = Holder()
    holder.client = _core.Client(broker=silent, connect_timeout=60)
    holder.job = holder.client.submit(
        "default", b"true", shell=True, events=_core.EVENT_ENDED, user=holder
    )
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


def test_nothing_leaks(silent):
    def use():
        client = _core.Client(broker=silent, connect_timeout=60)
        blob = _core.Blob(b"x" * 1000)
        for _ in range(10):
            job = client.submit("default", CALL, blobs=[blob], packages=["a>1"])
            job.wait(0)
            job.info, job.text, job.id  # noqa: B018
            with pytest.raises(exceptions.InvalidRequirement):
                client.submit("default", CALL, packages=["/"])
        client.close()

    use()
    gc.collect()
    open_before, objects_before = descriptors(), len(gc.get_objects())
    for _ in range(20):
        use()
    gc.collect()
    assert descriptors() <= open_before
    assert len(gc.get_objects()) < objects_before + 100


def test_a_second_interpreter_state_is_independent():
    """Multi-phase: the module can be loaded twice, with types of its own."""
    import importlib.util

    spec = importlib.util.find_spec("understudy._core")
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    assert other is not _core
    assert other.Client is not _core.Client
    state = weakref.ref(other.Blob)
    del other
    gc.collect()
    assert state() is None
