# SPDX-License-Identifier: MIT
"""Result is a Future of the standard library."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import pickle
import threading
import uuid
import weakref

import pytest

from understudy import Executor, Lead, Result, _envelope
from understudy.exceptions import (
    BrokerUnreachable,
    InvalidArgument,
    JobCancelled,
    JobNotFound,
    RemoteError,
    SerializationError,
    ShellError,
    WaitTimeout,
)


@pytest.fixture
def lead(core):
    return Lead("c")


@pytest.fixture
def result(lead):
    return lead.shell("true")


def later(act, seconds=0.05):
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def fail(job, code, text="why", **detail):
    failure = _envelope.Failure(code, "SomeError", text, detail=detail)
    job.end(6, code, failure.encode())


def test_pending_then_done(result):
    assert isinstance(result, concurrent.futures.Future)
    assert (result.check(), result.done(), result.running()) == (None, False, False)
    assert result.status == "QUEUED"
    with pytest.raises(WaitTimeout):
        result.get(timeout=0.01)
    with pytest.raises(TimeoutError):
        result.exception(timeout=0.01)
    result._job.run()
    assert (result.running(), result.status) == (True, "RUNNING")
    result._job.finish("out\n")
    assert result.get() == result.result() == result.check() == "out\n"
    assert (result.done(), result.running(), result.cancelled()) == (True, False, False)
    assert result.exception() is None
    assert result.status == "SUCCEEDED"
    assert repr(result) == f"<Result {result.uuid} true SUCCEEDED>"


def test_waiting_needs_no_thread(result):
    later(lambda: result._job.finish(1))
    assert result.get(timeout=10) == 1
    assert "_own_condition" not in result.__dict__
    assert result._client._thread is None


def test_a_value_that_is_none(result):
    result._job.finish(None)
    assert result.get() is None
    assert result.get() is None


def test_values_are_decoded_once(result):
    result._job.finish({"a": [1]})
    assert result.get() is result.get()


def test_standard_waits(lead):
    results = [lead.shell("true") for _ in range(4)]
    results[0]._job.finish(0)
    done, pending = concurrent.futures.wait(results, timeout=0)
    assert (done, len(pending)) == ({results[0]}, 3)
    later(lambda: results[2]._job.finish(2))
    done, pending = concurrent.futures.wait(
        results[1:], timeout=10, return_when=concurrent.futures.FIRST_COMPLETED
    )
    assert done == {results[2]}
    later(lambda: fail(results[1]._job, -25))
    done, pending = concurrent.futures.wait(
        results[1:], timeout=10, return_when=concurrent.futures.FIRST_EXCEPTION
    )
    assert results[1] in done
    later(lambda: results[3]._job.finish(3))
    assert set(concurrent.futures.as_completed(results, timeout=10)) == set(results)


def test_callbacks_run_in_one_python_thread(lead):
    called = []
    all_called = threading.Event()

    def callback(future):
        called.append((threading.current_thread(), future.exception()))
        if len(called) == 3:
            all_called.set()

    results = [lead.shell("true") for _ in range(3)]
    for result in results:
        result.add_done_callback(callback)
        result._job.finish(1)
    assert all_called.wait(10)
    assert len({thread for thread, _ in called}) == 1
    assert called[0][0] is not threading.current_thread()
    seen = []
    results[0].add_done_callback(seen.append)
    assert seen == [results[0]]


def test_a_wake_up_without_events_ends_nothing(lead):
    first, second = lead.shell("true"), lead.shell("true")
    called = threading.Event()
    first.add_done_callback(lambda future: None)
    first._client.core.events.put(None)
    second.add_done_callback(lambda future: called.set())
    second._job.finish(1)
    assert called.wait(10)


def test_a_callback_that_fails_harms_nobody(lead, caplog):
    first, second = lead.shell("true"), lead.shell("true")
    reached = threading.Event()
    first.add_done_callback(lambda future: 1 / 0)
    second.add_done_callback(lambda future: reached.set())
    first._job.finish(1)
    second._job.finish(1)
    assert reached.wait(10)
    assert "exception calling callback" in caplog.text


def test_failures(lead):
    result = lead.shell("false")
    fail(result._job, -25, "exit code 3", exit_code=3, output="out")
    with pytest.raises(ShellError, match="exit code 3") as caught:
        result.get()
    assert (caught.value.exit_code, caught.value.output) == (3, "out")
    assert result.exception() is caught.value
    with pytest.raises(ShellError):
        result.check()
    assert result.status == "FAILED"


def test_refusals(lead):
    result = lead.shell("true")
    result._job.end(15, -12, text="the store is full: 1 GiB")
    with pytest.raises(Exception, match="the store is full: 1 GiB"):
        result.accepted()
    with pytest.raises(Exception, match="the store is full: 1 GiB"):
        result.get()


def test_cancel(lead):
    queued, running, ended = (lead.shell("true") for _ in range(3))
    running._job.run()
    ended._job.finish(1)
    told = []
    queued.add_done_callback(told.append)
    assert (queued.cancel(), running.cancel(), ended.cancel()) == (True, False, False)
    assert (queued.cancelled(), queued.done(), running.cancelled()) == (
        True,
        True,
        False,
    )
    assert queued.cancel()
    for ask in (queued.get, queued.exception, queued.check):
        with pytest.raises(concurrent.futures.CancelledError):
            ask()
    with pytest.raises(JobCancelled):
        queued.get()
    assert concurrent.futures.wait([queued], timeout=10).done == {queued}
    assert (running.interrupt(), ended.interrupt()) == (True, False)
    assert running.cancelled()


def test_await(lead):
    async def main():
        good, bad, late = (lead.shell("true") for _ in range(3))
        good._job.finish(1)
        later(lambda: fail(bad._job, -25))
        assert await good == 1
        with pytest.raises(ShellError):
            await bad
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(late, 0.05)
        assert late._job.cancels == []  # the job goes on
        later(lambda: late._job.finish(3))
        assert await asyncio.gather(late, good) == [3, 1]
        wrapped = asyncio.wrap_future(good)
        assert await wrapped == 1

    asyncio.run(main())


def test_log(result):
    assert result.log == ""
    result._job.run()
    result._job.log("Adding 1 to 1\nzwölf".encode())
    assert result.log == "Adding 1 to 1\nzwölf"
    result._job.log(b"\n")
    result._job.log(b"building\n", 1)
    result._job.finish(1)
    assert result.log == "Adding 1 to 1\nzwölf"
    assert list(result.stream_log()) == ["Adding 1 to 1", "zwölf"]
    assert list(result.stream_log(build=True)) == ["building"]


def test_stream_log_as_it_is_written(result):
    result._job.log(b"eins\nzw" + "ö".encode()[:1])
    lines = result.stream_log(timeout=10)
    assert next(lines) == "eins"
    later(lambda: (result._job.log("ö".encode()[1:] + b"lf"), result._job.finish(1)))
    assert list(lines) == ["zwölf"]
    with pytest.raises(WaitTimeout):
        next(Lead("c").shell("true").stream_log(timeout=0.01))


def test_reopening(lead, core):
    result = lead.shell("true")
    result._job.finish(42)
    again = Result(result.uuid, channel="c")
    assert (again.get(), again.uuid) == (42, result.uuid)
    assert Result(uuid.UUID(result.uuid)).get() == 42
    assert pickle.loads(pickle.dumps(result)).get() == 42
    unknown = Result(str(uuid.UUID(bytes=core.new_id("c"))))
    for ask in (unknown.get, unknown.check, unknown.accepted):
        with pytest.raises(JobNotFound):
            ask()
    for wrong in ("nonsense", "", str(uuid.uuid4()), 17, None):
        with pytest.raises(InvalidArgument):
            Result(wrong)
    with pytest.raises(InvalidArgument, match="on 'other'"):
        Result(result.uuid, channel="other")


def test_no_broker(core, monkeypatch):
    monkeypatch.setattr(
        core.Client,
        "connect",
        lambda self: (_ for _ in ()).throw(BrokerUnreachable("none at tcp://x:1")),
    )
    with pytest.raises(BrokerUnreachable, match="tcp://x:1"):
        Lead("c", broker="tcp://x:1").shell("true")


def test_trust(core):
    class Odd:
        pass

    with pytest.raises(InvalidArgument):
        Lead("c", trust="some")
    careful = Lead("c", trust="data").shell("true")
    careful._job.finish({1, 2})
    with pytest.raises(SerializationError, match="trust='data'"):
        careful.get()


def test_a_result_that_cannot_be_loaded(result):
    data = b"\x80\x05cno_such_module\nThing\n."
    result._job.end(5, 0, _envelope.encode_pickle(data, False))
    with pytest.raises(SerializationError, match="no_such_module"):
        result.get()


def test_a_malformed_failure(result):
    result._job.end(6, RemoteError.code, b"\xc1", text="as the broker says")
    with pytest.raises(RemoteError, match="as the broker says"):
        result.get()


def test_results_are_freed(lead):
    result = lead.shell("true")
    watch = weakref.ref(result)
    del result
    assert watch() is None
    failed = lead.shell("true")
    fail(failed._job, -25)
    with pytest.raises(ShellError):
        failed.get()
    watch = weakref.ref(failed)
    del failed
    gc.collect()
    assert watch() is None


def test_its_state_is_that_of_the_job(result):
    with pytest.raises(Exception, match="that of its job"):
        result.set_result(1)
    with pytest.raises(Exception, match="that of its job"):
        result.set_exception(ValueError())


def test_lost_jobs_are_named(core, capsys):
    from understudy import _client

    lead = Lead("c")
    held = lead.shell("first")
    client = held._client
    client.core.accept = False
    lead.shell("second")
    third = lead.shell("third")
    client.core.accept = True
    lead.shell("fourth")
    refused = lead.shell("fifth")
    refused._job.end(15, -12, text="full")
    refused._job.state = 0
    job = refused._job
    del refused
    job.state = 15
    _client._at_exit()
    said = capsys.readouterr().err
    assert said.startswith("understudy: 3 jobs were not accepted and will not run: ")
    assert all(name in said for name in ("second", "third", "fifth (full)"))
    assert "first" not in said
    assert "fourth" not in said
    assert third.status == "UNSENT"


def test_executor(core):
    with Executor("c") as executor:
        first, second = executor.submit(abs, 1), executor.submit(abs, 2)
        first._job.finish(1)
        second._job.finish(2)
    assert first.get() == 1
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)
    executor = Executor("c")
    results = [executor.submit(abs, n) for n in range(3)]
    results[0]._job.finish(0)
    executor.shutdown(wait=True, cancel_futures=True)
    assert [r.cancelled() for r in results] == [False, True, True]
    with pytest.raises(InvalidArgument):
        Executor("c", block=True)
    with pytest.raises(TypeError):
        Executor("c").submit(42)


def test_executor_map(core, monkeypatch):
    real = core.Client.submit

    def submit(self, *args, **kwargs):
        job = real(self, *args, **kwargs)
        job.finish(len(self.jobs))
        return job

    monkeypatch.setattr(core.Client, "submit", submit)
    assert list(Executor("c").map(abs, [5, 5, 5])) == [1, 2, 3]


@pytest.mark.parametrize("command", ["", "  ", "a\0b", 7])
def test_wrong_commands(lead, command):
    with pytest.raises(InvalidArgument):
        lead.shell(command)
