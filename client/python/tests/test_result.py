# SPDX-License-Identifier: MIT
"""Result is a Future of the standard library."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import itertools
import pickle
import sys
import threading
import uuid
import weakref

import pytest

from understudy import Executor, Lead, Result, _envelope
from understudy.exceptions import (
    BrokerUnreachable,
    ClientClosed,
    InvalidArgument,
    JobCancelled,
    JobEnded,
    JobNotFound,
    RemoteError,
    SerializationError,
    ShellError,
    WaitTimeout,
    WorkerDied,
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
    lead.shell("true")  # connects

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


# --- as the standard library's futures ------------------------------------------------


def test_exceptions_are_those_of_the_standard_library():
    assert issubclass(SerializationError, pickle.PicklingError)
    assert issubclass(WorkerDied, concurrent.futures.BrokenExecutor)
    assert issubclass(ClientClosed, RuntimeError)


def test_cancel_calls_back_once_in_its_own_thread(lead):
    told = []
    result = lead.shell("true")
    result.add_done_callback(lambda r: told.append(threading.current_thread()))
    assert result.cancel()
    assert told == [threading.current_thread()]
    # The event of that end comes to nothing more.
    last, called = lead.shell("true"), threading.Event()
    last.add_done_callback(lambda r: called.set())
    last._job.finish(1)
    assert called.wait(10)
    assert len(told) == 1
    assert result.cancel()
    assert len(told) == 1


def test_an_end_that_comes_while_somebody_cancels_is_told(lead, monkeypatch):
    """It was not cancelled: it ended meanwhile, and its event was left to cancel()."""
    told = []
    result = lead.shell("true")
    result.add_done_callback(told.append)

    def cancel(self, mode, timeout):
        self.finish(1)
        passed = lead.shell("true")
        seen = threading.Event()
        passed.add_done_callback(lambda r: seen.set())
        passed._job.finish(1)
        assert seen.wait(10)  # the event of the first has been taken before
        assert told == []
        return JobEnded.code, 5

    monkeypatch.setattr(type(result._job), "cancel", cancel)
    assert not result.cancel()
    assert told == [result]


def test_cancel_in_an_event_loop_only_asks(lead, monkeypatch):
    result, told = lead.shell("true"), []
    result.add_done_callback(told.append)
    asked = []
    real = type(result._job).cancel

    def cancel(self, mode, timeout):
        asked.append((mode, timeout))
        return (WaitTimeout.code, self.state) if timeout == 0 else real(self, mode, 0)

    monkeypatch.setattr(type(result._job), "cancel", cancel)

    async def main():
        assert not result.cancel()
        assert asked == [(0, 0)]
        assert await result.aio.cancel()
        assert told == [result]
        return result.cancel()

    assert asyncio.run(main())


def test_a_value_is_not_kept_twice(lead):
    result = lead.shell("true")
    result._job.finish("x" * 100)
    assert result.get() == "x" * 100
    assert result._job.body == b""
    assert result.get() == result.check() == "x" * 100
    failed = lead.shell("false")
    fail(failed._job, -25)
    for _ in range(2):
        with pytest.raises(ShellError):
            failed.get()


def test_a_result_in_a_condition_warns(result):
    with pytest.warns(RuntimeWarning, match="a Result is always true"):
        assert result


def test_asyncio_wait(lead):
    lead.shell("true")

    async def main():
        first, second = lead.shell("true"), lead.shell("true")
        later(lambda: second._job.finish(2))
        done, pending = await asyncio.wait(
            [first, second], return_when=asyncio.FIRST_COMPLETED, timeout=10
        )
        assert (done, pending) == ({second}, {first})
        assert first._done_callbacks == []
        done, pending = await asyncio.wait([first], timeout=0.01)
        assert (done, pending) == (set(), {first})
        later(lambda: first._job.finish(1))
        done, _ = await asyncio.wait([first, second], timeout=10)
        assert done == {first, second}
        for each in asyncio.as_completed([first, second]):
            assert await each in (1, 2)

    asyncio.run(main())


def test_connecting_does_not_block_an_event_loop(core, monkeypatch):
    may_connect = threading.Event()

    def connect(self):
        assert may_connect.wait(10)
        if self.unreachable:
            raise BrokerUnreachable("none at tcp://x:1")

    monkeypatch.setattr(core.Client, "connect", connect)
    lead = Lead("c")

    async def main():
        first, second = lead.shell("true"), lead.shell("false")
        assert first.status == second.status == "UNSENT"
        assert second.cancel()
        may_connect.set()
        assert await first.aio.accepted()
        assert first.status == "QUEUED"
        core.Client.made[0].opened[first._job.id].finish(1)
        assert await asyncio.wait_for(first, 10) == 1
        assert second.cancelled()

    asyncio.run(main())
    assert len(core.Client.made[0].jobs) == 1


def test_no_broker_in_an_event_loop(core, monkeypatch):
    def connect(self):
        raise BrokerUnreachable("none at tcp://x:1")

    monkeypatch.setattr(core.Client, "connect", connect)

    async def main():
        result = Lead("c").shell("true")
        with pytest.raises(BrokerUnreachable, match="tcp://x:1"):
            await result
        with pytest.raises(BrokerUnreachable, match="tcp://x:1"):
            await result.aio.accepted()

    asyncio.run(main())


def test_aio(lead):
    lead.shell("true")

    async def main():
        result = lead.shell("true")
        with pytest.raises(WaitTimeout):
            await result.aio.get(0.01)
        result._job.run()
        result._job.log(b"one\ntwo\n")
        assert await result.aio.log() == "one\ntwo"
        lines = result.aio.stream_log()
        assert [await lines.__anext__(), await lines.__anext__()] == ["one", "two"]
        assert not await result.aio.cancel()
        assert await result.aio.interrupt()
        with pytest.raises(JobCancelled):
            await result.aio.get()
        assert [line async for line in lines] == []

    asyncio.run(main())


# --- Executor -------------------------------------------------------------------------


def jobs_of(core):
    return [job for client in core.Client.made for job in client.jobs]


def test_what_cannot_be_pickled_is_in_the_future(core):
    for executor in (Executor("c"), Executor("c", max_workers=1)):
        result = executor.submit(len, threading.Lock())
        assert result.done()
        with pytest.raises(pickle.PicklingError, match="lock"):
            result.result()
        with pytest.raises(SerializationError):
            result.accepted()
        assert not result.cancel()
        called = []
        result.add_done_callback(called.append)
        assert called == [result]
        assert (result.status, result.log) == ("REFUSED", "")
        executor.shutdown()
    assert jobs_of(core) == []


def test_max_workers_bounds_what_is_sent(core):
    executor = Executor("c", max_workers=2)
    results = [executor.submit(abs, n) for n in range(5)]
    assert [r.status for r in results] == ["QUEUED"] * 2 + ["UNSENT"] * 3
    with pytest.raises(WaitTimeout):
        results[4].get(timeout=0.01)
    with pytest.raises(WaitTimeout):
        results[4].accepted(timeout=0.01)
    assert results[3].cancel()
    assert results[3].cancelled()
    jobs_of(core)[0].finish(10)
    assert results[2].accepted(timeout=10)
    jobs_of(core)[2].finish(12)
    assert results[4].accepted(timeout=10)
    jobs_of(core)[1].finish(11)
    jobs_of(core)[3].finish(14)
    executor.shutdown()
    assert [r.get() for r in results if not r.cancelled()] == [10, 11, 12, 14]
    assert len({r.uuid for r in results}) == 5
    assert [job.id for job in jobs_of(core)[:2]] == [r._job.id for r in results[:2]]
    assert executor._max_workers == 2


def test_shutdown_cancels_what_is_held(core):
    executor = Executor("c", max_workers=1)
    results = [executor.submit(abs, n) for n in range(4)]
    jobs_of(core)[0].run()
    later(lambda: jobs_of(core)[0].finish(1))
    executor.shutdown(cancel_futures=True)
    assert [r.cancelled() for r in results] == [False, True, True, True]
    assert len(jobs_of(core)) == 1


def test_max_workers_without_a_broker(core, monkeypatch):
    def connect(self):
        raise BrokerUnreachable("none at tcp://x:1")

    monkeypatch.setattr(core.Client, "connect", connect)
    executor = Executor("c", max_workers=1)
    with pytest.raises(BrokerUnreachable):
        executor.submit(abs, 1)
    waits = threading.Thread(target=executor.shutdown, daemon=True)
    waits.start()
    waits.join(10)
    assert not waits.is_alive()


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "4"])
def test_numbers_are_checked(core, number):
    for ask in (
        lambda: Executor("c", max_workers=number),
        lambda: Executor("c").map(abs, [1], chunksize=number),
        lambda: Executor("c").map(abs, [1], buffersize=number),
    ):
        with pytest.raises((ValueError, TypeError)):
            ask()


@pytest.fixture
def at_work(core, monkeypatch):
    """Jobs are done as they are submitted; gives them."""
    from understudy._call import Caller

    real, calls = Caller.submit, []

    def submit(self, function, args, kwargs):
        result = real(self, function, args, kwargs)
        calls.append(result._job)
        try:
            result._job.finish(function(*args, **kwargs))
        except Exception as error:
            failure = _envelope.Failure(
                RemoteError.code, type(error).__name__, str(error), module="builtins"
            )
            result._job.end(6, RemoteError.code, failure.encode())
        return result

    monkeypatch.setattr(Caller, "submit", submit)
    return calls


def test_map_of_an_endless_iterable(at_work):
    pool = Executor("c")
    values = pool.map(abs, itertools.count())
    assert list(itertools.islice(values, 5)) == [0, 1, 2, 3, 4]
    assert len(at_work) == 1005
    del at_work[:]
    values = pool.map(abs, itertools.count(), buffersize=3)
    assert (next(values), next(values), len(at_work)) == (0, 1, 5)
    values = pool.map_unordered(abs, itertools.count(), buffersize=3)
    assert next(values) in range(4)
    del at_work[:]
    pool.map(abs, range(2000))
    assert len(at_work) == 2000


def test_map_lets_go_of_values(at_work):
    pool = Executor("c")
    values = pool.map(str, range(10))
    client = next(iter(pool._callers.values())).client()
    results = (entry for entry in gc.get_objects() if type(entry) is Result)
    held = weakref.WeakSet(result for result in results if result._client is client)
    assert len(held) == 10
    for n in range(10):
        assert next(values) == str(n)
        assert len(held) == 9 - n


def test_map_with_chunks(at_work):
    pool = Executor("c")
    assert list(pool.map(pow, [2] * 5, range(5), chunksize=2)) == [1, 2, 4, 8, 16]
    assert len(at_work) == 3
    values = pool.map(pow, [2, 0, 2], [1, -1, 3], chunksize=2, return_exceptions=True)
    one, error, three = values
    assert (one, type(error), three) == (2, ZeroDivisionError, 8)
    with pytest.raises(ZeroDivisionError):
        list(pool.map(pow, [2, 0, 2], [1, -1, 3], chunksize=2))


def test_map_gives_exceptions_as_values(at_work):
    pool = Executor("c")
    values = list(pool.map(pow, [2, 0, 2], [1, -1, 3], return_exceptions=True))
    assert [type(value) for value in values] == [int, ZeroDivisionError, int]
    unordered = pool.map_unordered(pow, [2, 0], [1, -1], return_exceptions=True)
    assert {type(value) for value in unordered} == {int, ZeroDivisionError}
    with pytest.raises(ZeroDivisionError):
        list(pool.map_unordered(pow, [2, 0], [1, -1]))


def test_map_unordered_gives_what_is_there(core):
    values = Executor("c").map_unordered(abs, range(3))
    for n in (2, 0, 1):
        jobs_of(core)[n].finish(n)
        assert next(values) == n
    with pytest.raises(StopIteration):
        next(values)
    with pytest.raises(TimeoutError):
        next(Executor("c").map_unordered(abs, [1], timeout=0.01))
    with pytest.raises(TimeoutError):
        next(Executor("c").map(abs, [1], timeout=0.01))


def test_a_shell_error_tells_the_command():
    detail = {"exit_code": 2, "command": "make\n all", "output": "a\nb\n"}
    error = ShellError("the shell command ended with exit code 2", detail=detail)
    assert str(error).split("\n") == [
        "the shell command ended with exit code 2: make all",
        "  a",
        "  b",
    ]
    detail["log"] = "a\nb\nno such target\n"
    assert str(ShellError("x", detail=detail)).endswith("\n  no such target")
    assert "�" in str(ShellError("x", detail={"output": b"\xff"}))


class Leaves:
    def __reduce__(self):
        return sys.exit, (1,)


def test_a_result_never_ends_the_program_that_loads_it(result):
    data = _envelope.encode_pickle(pickle.dumps(Leaves()), False)
    result._job.end(5, 0, data)
    with pytest.raises(SerializationError, match="SystemExit"):
        result.get()
