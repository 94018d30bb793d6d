# SPDX-License-Identifier: MIT
"""Results are Futures; every kind of function runs on a node without its code."""

import pytest

from support import PYTHON


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel=["calculator", "default"])
    return client()


@pytest.mark.core
def test_the_standard_library_works_on_results(user):
    said = user.script("""
        import asyncio
        from concurrent.futures import FIRST_COMPLETED, as_completed, wait

        from understudy import Executor
        from understudy.decorators import understudy


        @understudy("calculator")
        def square(n):
            return n * n


        async def both():
            return await asyncio.gather(
                *(asyncio.wrap_future(square(n)) for n in (2, 3))
            ) + [await square(4)]


        if __name__ == "__main__":
            results = [square(n) for n in range(6)]
            print(sorted(r.result() for r in as_completed(results, timeout=30)))
            done, pending = wait(results, timeout=30)
            print(len(done), len(pending))
            done, _ = wait([square(7)], timeout=30, return_when=FIRST_COMPLETED)
            print([r.get() for r in done])
            print(asyncio.run(both()))
            seen = []
            result = square(9)
            result.add_done_callback(lambda r: seen.append(r.result()))
            result.get(timeout=30)
            with Executor("calculator") as pool:
                print(pool.submit(pow, 2, 10).result(30))
                print(list(pool.map(lambda a, b: a + b, [1, 2], [10, 20])))
            print(seen, square.map(range(4)))
        """)
    assert said.splitlines() == [
        "[0, 1, 4, 9, 16, 25]",
        "6 0",
        "[49]",
        "[4, 9, 16]",
        "1024",
        "[11, 22]",
        "[81] [0, 1, 4, 9]",
    ]


def test_map_shows_progress(user):
    script = user.write(
        "bar.py",
        """
        from understudy.decorators import understudy


        @understudy("calculator")
        def same(n):
            return n


        print(same.map(range(5), progress=True))
        """,
    )
    done = user.run([PYTHON, script])
    assert done.stdout == "[0, 1, 2, 3, 4]\n"
    assert "5/5" in done.stderr


def test_the_first_failure_raises_after_the_rest_ended(user):
    said = user.script("""
        from understudy.decorators import understudy


        @understudy("calculator")
        def half(n):
            if n % 2:
                raise ValueError(f"{n} is odd")
            return n // 2


        try:
            half.map([2, 3, 4, 5])
        except ValueError as error:
            print(error)
        """)
    assert said == "3 is odd\n"


def test_shutdown_cancels_what_has_not_started(broker, client):
    broker()
    said = client().script("""
        from concurrent.futures import CancelledError

        from understudy import Executor

        pool = Executor("calculator")
        futures = [pool.submit(pow, 2, n) for n in range(3)]
        for future in futures:
            future.accepted(30)
        pool.shutdown(wait=True, cancel_futures=True)
        print([future.cancelled() for future in futures])
        try:
            pool.submit(pow, 1, 1)
        except RuntimeError as error:
            print("RuntimeError")
        try:
            futures[0].result(1)
        except CancelledError:
            print("CancelledError")
        """)
    assert said.splitlines() == ["[True, True, True]", "RuntimeError", "CancelledError"]


def test_cancel_and_interrupt(user):
    said = user.script("""
        import time

        from understudy import Lead
        from understudy.decorators import understudy
        from understudy.exceptions import JobCancelled


        @understudy("calculator")
        def forever():
            print("running", flush=True)
            while True:
                time.sleep(0.01)


        result = forever()
        for line in result.stream_log():
            print(line.strip())
            break
        print(result.running(), result.cancel())
        print(bool(result.interrupt()))
        try:
            result.get(timeout=30)
        except JobCancelled as error:
            print("JobCancelled", result.status)
        print(Lead("calculator").shell("echo next").get(timeout=30), end="")
        """)
    assert said.splitlines() == [
        "running",
        "True False",
        "True",
        "JobCancelled CANCELLED",
        "next",
    ]


def test_all_kinds_of_functions(user):
    user.write("shapes/__init__.py", "from .area import Square\n")
    user.write("shapes/units.py", "FACTOR = 100\n")
    user.write(
        "shapes/area.py",
        """
        from understudy.decorators import understudy

        from . import units


        class Square:
            def __init__(self, side):
                self.side = side

            @understudy("calculator")
            def area(self):
                return self.side**2 * units.FACTOR

            @understudy("calculator")
            @staticmethod
            def sides():
                return 4

            @staticmethod
            @understudy("calculator")
            def corners():
                return 4

            @classmethod
            @understudy("calculator")
            def name(cls):
                return cls.__name__

            @understudy("calculator")
            @classmethod
            def twice(cls, n):
                return cls(2 * n).side

            @understudy("calculator")
            def grown(self):
                return Square(self.side + 1)
        """,
    )
    said = user.script("""
        from understudy import Executor
        from shapes import Square

        square = Square(3)
        print(square.area().get(timeout=30))
        print(Square.sides().get(timeout=30), square.corners().get(timeout=30))
        print(Square.name().get(timeout=30), Square.twice(4).get(timeout=30))
        print(square.grown().get(timeout=30).side)
        offset = 10
        with Executor("calculator") as pool:
            print(pool.submit(lambda n: n + offset, 1).result(30))
        """)
    assert said.splitlines() == ["900", "4 4", "Square 8", "4", "11"]


def test_python_dash_m(user):
    user.write("pkg/__init__.py", "")
    user.write("pkg/helper.py", "def triple(n):\n    return 3 * n\n")
    user.write(
        "pkg/main.py",
        """
        from understudy.decorators import understudy

        from .helper import triple


        @understudy("calculator")
        def nine(n):
            return triple(triple(n))


        if __name__ == "__main__":
            print(nine(1).get(timeout=30))
        """,
    )
    done = user.run([PYTHON, "-m", "pkg.main"])
    assert done.stdout == "9\n"


def test_a_decorated_function_inside_a_job_is_a_plain_call(user):
    user.write(
        "deep.py",
        """
        from understudy.decorators import understudy


        @understudy("nobody-listens-here")
        def inner(n):
            return n + 1


        @understudy("calculator")
        def outer(n):
            return inner(n) * 2
        """,
    )
    said = user.script("""
        from deep import outer

        print(outer(1).get(timeout=30))
        """)
    assert said == "4\n"


def test_data_come_back_as_they_were(user):
    said = user.script("""
        import datetime
        import decimal

        from understudy import Executor

        values = [
            None, True, 0, -1, 2**63, 2**64 - 1, -(2**63), 2**70, 1.5, float("inf"),
            "", "é\\0", b"\\xff", [], [1, [2]], {}, {"a": {"b": None}}, {1: 2}, (1, 2),
            {1, 2}, datetime.date(2020, 2, 29), decimal.Decimal("1.10"), range(3), 1j,
            "x" * 300_000, b"y" * 3_000_000,
        ]
        with Executor("calculator") as pool:
            back = list(pool.map(lambda value: value, values))
        pairs = zip(values, back)
        print([(a, b) for a, b in pairs if a != b or type(a) is not type(b)])
        """)
    assert said == "[]\n"


def test_ctrl_c_cancels_a_blocking_call(user):
    import signal

    from support import wait_for

    path = user.write(
        "block.py",
        """
        import time

        from understudy.decorators import understudy


        @understudy("calculator", block=True)
        def forever():
            print("running", flush=True)
            while True:
                time.sleep(0.01)


        forever()
        """,
    )
    process = user.start("block", [PYTHON, path])
    wait_for(lambda: "running" in process.output, 30)
    process.signal(signal.SIGINT)
    assert process.wait() in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in process.output
    # It waits two seconds for that end, not for ever.
    cancelled = ["--json", "jobs", "--state", "cancelled"]
    wait_for(lambda: "CANCELLED" in user.ctl(*cancelled).stdout)


def test_a_log_comes_at_once_to_a_fresh_client(user):
    """Asked for between SUBMIT and its answer: nothing but the repeat a second later
    once brought it."""
    said = user.script("""
        import time

        from understudy import _core

        times = []
        for _ in range(25):
            client = _core.Client()
            client.connect()
            begin = time.monotonic()
            job = client.submit("calculator", b"echo up; sleep 100", shell=True)
            job.stream_log(0)
            assert job.read_log(0, 0, 100, 30) == b"up\\n"
            times.append(time.monotonic() - begin)
            job.cancel(1, 30)
            job.wait(30)
            client.close()
        print(sorted(times)[-3])
        """)
    # The repeat would make those that it brings wait for a second.
    assert float(said) < 0.7


def test_max_workers_and_the_end_of_the_program(user):
    """What is held is sent before the program ends; no two run at a time."""
    user.write("seen.txt", "")
    said = user.script("""
        import os
        import time

        from understudy import Executor

        PATH = os.path.abspath("seen.txt")


        def note(n):
            with open(PATH, "a") as file:
                file.write(f"+{n} ")
                file.flush()
                time.sleep(0.05)
                file.write(f"-{n} ")


        pool = Executor("calculator", max_workers=1)
        for n in range(6):
            last = pool.submit(note, n)
        print(last.status)
        """)
    assert said == "UNSENT\n"
    from support import wait_for

    seen = user.directory / "seen.txt"
    wait_for(lambda: seen.read_text().endswith("-5 "))
    assert seen.read_text() == "".join(f"+{n} -{n} " for n in range(6))


def test_submit_at_the_end_of_the_program(user):
    said = user.script("""
        import atexit

        from understudy import Executor
        from understudy.decorators import understudy


        @understudy("calculator")
        def late():
            pass


        pool = Executor("calculator")


        @atexit.register
        def submit():
            for submit in (lambda: pool.submit(pow, 2, 2), late):
                try:
                    submit()
                except RuntimeError as error:
                    print("RuntimeError:", error)


        print(pool.submit(pow, 2, 3).result(30))
        """)
    assert said.splitlines()[0] == "8"
    assert (
        "RuntimeError: cannot schedule new futures after interpreter shutdown" in said
    )


def test_map_in_chunks_endless_and_unordered(user):
    said = user.script("""
        import itertools

        from understudy import Executor
        from understudy.decorators import understudy


        class Box:
            def __init__(self, n):
                self.n = n

            def add(self, m):
                return Box(self.n + m)


        def half(n):
            if n % 2:
                raise ValueError(f"{n} is odd")
            return n // 2


        @understudy
        def same(n):
            return n


        with Executor("calculator") as pool:
            print(list(pool.map(lambda n: n + 1, range(10), chunksize=3)))
            print([box.n for box in pool.map(Box(3).add, range(4), chunksize=2)])
            print(list(pool.map(same, range(3), chunksize=2)))
            print(list(pool.map(half, range(4), return_exceptions=True, chunksize=3)))
            try:
                list(pool.map(half, range(4), chunksize=2))
            except ValueError as error:
                print(error)
            print(list(pool.map(half, [1, 2], return_exceptions=True)))
            print(sorted(pool.map_unordered(same, range(5))))
            values = pool.map(same, itertools.count(), buffersize=8)
            print(list(itertools.islice(values, 20))[-1])
            values.close()
            print(pool._max_workers)
        print(same.options("calculator").map([1, 2], return_exceptions=True))
        """)
    assert said.splitlines() == [
        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
        "[3, 4, 5, 6]",
        "[0, 1, 2]",
        "[0, ValueError('1 is odd'), 1, ValueError('3 is odd')]",
        "1 is odd",
        "[ValueError('1 is odd'), 1]",
        "[0, 1, 2, 3, 4]",
        "19",
        "2",
        "[1, 2]",
    ]


def test_map_does_not_keep_what_was_taken(user):
    """200 results of 1 MB added 397 MiB when each was kept, and as bytes besides."""
    said = user.script("""
        import resource

        from understudy import Executor


        def make(n):
            return bytes([n]) * 1_000_000


        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


        with Executor("calculator") as pool:
            list(pool.map(make, range(2)))
            before = peak()
            for n, value in enumerate(pool.map(make, range(200), buffersize=8)):
                assert value == bytes([n]) * 1_000_000
            print(peak() - before)
            results = [pool.submit(make, n) for n in range(50)]
            kept = [result.get() for result in results]
            print(peak() - before)
        """)
    window, kept = map(int, said.split())
    assert window < 50
    assert kept < 90


def test_cancel_in_the_thread_that_asks(broker, client):
    broker()
    said = client().script("""
        import asyncio
        import threading

        from understudy import Executor

        told = []
        pool = Executor("calculator")
        result = pool.submit(pow, 2, 2)
        result.add_done_callback(lambda r: told.append(threading.current_thread().name))
        print(result.cancel(), told)


        async def main():
            waited, asked = pool.submit(pow, 2, 3), pool.submit(pow, 2, 4)
            print(asked.cancel(), await asked.aio.accepted())
            done, pending = await asyncio.wait([waited, asked], timeout=30,
                                               return_when=asyncio.FIRST_COMPLETED)
            print(done == {asked}, pending == {waited}, asked.cancelled())
            print(await waited.aio.cancel())


        asyncio.run(main())
        """)
    assert said.splitlines() == [
        "True ['MainThread']",
        "False True",
        "True True True",
        "True",
    ]


def test_an_event_loop_goes_on_while_no_broker_answers(client):
    said = client("tcp://127.0.0.1:9").script("""
        import asyncio
        import time

        from understudy.decorators import understudy
        from understudy.exceptions import BrokerUnreachable


        @understudy("calculator")
        def job():
            pass


        async def main():
            longest, last = 0, time.monotonic()
            begin = last
            result = job()
            while not result.done():
                await asyncio.sleep(0.01)
                now = time.monotonic()
                longest, last = max(longest, now - last), now
            try:
                await result
            except BrokerUnreachable:
                print("BrokerUnreachable")
            print(longest < 2 < last - begin)


        asyncio.run(main())
        """)
    assert said.splitlines() == ["BrokerUnreachable", "True"]


def test_options_for_one_call(user):
    said = user.script("""
        import asyncio

        from understudy import Lead
        from understudy.decorators import understudy
        from understudy.exceptions import ShellError, TimeLimitExceeded


        class Tool:
            @understudy("nobody-listens-here", block=True)
            def wait(self, seconds):
                import time

                time.sleep(seconds)
                return seconds

        tool = Tool()
        print(tool.wait.options("calculator")(0))
        try:
            tool.wait.options("calculator", timeout=0.1, block=False)(5).get(30)
        except TimeLimitExceeded:
            print("TimeLimitExceeded")
        print(asyncio.run(tool.wait.options("calculator").aio(0)))
        try:
            Lead("calculator").shell("echo out; sleep .1; echo err >&2; exit 3").get(30)
        except ShellError as error:
            print(error)
        """)
    assert said.splitlines() == [
        "0",
        "TimeLimitExceeded",
        "0",
        "the shell command ended with exit code 3: "
        "echo out; sleep .1; echo err >&2; exit 3",
        "  out",
        "  err",
    ]


def test_a_fork_leaves_what_is_held_to_its_parent(user):
    said = user.script("""
        import multiprocessing
        import time

        from understudy import Executor

        pool = Executor("calculator", max_workers=1)


        def child():
            print(pool.submit(pow, 2, 3).result(30), flush=True)


        if __name__ == "__main__":
            results = [pool.submit(time.sleep, 0.3) for _ in range(4)]
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join(20)
            print(process.exitcode, [result.result(30) for result in results])
            process.kill()
        """)
    assert said.splitlines() == ["8", "0 [None, None, None, None]"]


def test_a_job_is_opened_in_an_event_loop(user):
    said = user.script("""
        import asyncio

        from understudy import Lead, Result


        async def main():
            result = Lead("calculator").shell("echo opened")
            await result.aio.accepted()
            again = await Result.aio_open(result.uuid, channel="calculator")
            print(await again, end="")


        asyncio.run(main())
        """)
    assert said == "opened\n"
