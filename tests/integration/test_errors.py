# SPDX-License-Identifier: MIT
"""Bad input gets a clear answer, and the next good job works."""

import pytest

from support import PATIENCE, free_port


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel="calculator")
    return client()


def test_no_broker(client):
    port = free_port()
    said = client(f"tcp://127.0.0.1:{port}").script("""
        import time

        from understudy import Lead
        from understudy.exceptions import BrokerUnreachable

        start = time.monotonic()
        try:
            Lead("calculator").shell("true").get()
        except BrokerUnreachable as error:
            print(error)
        print(time.monotonic() - start)
        """)
    words, seconds = said.splitlines()
    assert f"127.0.0.1:{port}" in words
    assert "understudy-broker" in words
    assert float(seconds) < 20 * PATIENCE


@pytest.mark.core
def test_an_exception_comes_back(user):
    user.write(
        "faulty.py",
        """
        from understudy.decorators import understudy


        class OwnError(Exception):
            def __init__(self, code, *, hint):
                super().__init__(code)
                self.hint = hint


        @understudy("calculator")
        def divide(a, b):
            return a / b  # the guilty line


        @understudy("calculator", block=True)
        def divide_now(a, b):
            return a / b


        @understudy("calculator")
        def own():
            raise OwnError(7, hint="rest")
        """,
    )
    said = user.script("""
        import traceback

        import faulty

        for attempt in (
            lambda r: r.get(timeout=30),
            lambda r: (r.exception(30), r.check()),
        ):
            try:
                attempt(faulty.divide(1, 0))
            except ZeroDivisionError as error:
                print("same", error)
                text = "".join(traceback.format_exception(error))
                print("a / b  # the guilty line" in text, "faulty.py" in text)
        try:
            faulty.divide_now(1, 0)
        except ZeroDivisionError:
            print("blocked")
        try:
            faulty.own().get(timeout=30)
        except faulty.OwnError as error:
            print("own", error, error.hint)
        except Exception as error:
            print(type(error).__name__, error)
        """)
    lines = said.splitlines()
    assert lines[:5] == ["same division by zero", "True True"] * 2 + ["blocked"]
    # An exception whose arguments do not rebuild it arrives as RemoteError.
    assert lines[5].startswith(("own 7", "RemoteError"))


def test_what_cannot_be_serialised(user):
    said = user.script("""
        import threading

        from understudy import Executor
        from understudy.exceptions import PayloadTooLarge, SerializationError

        with Executor("calculator") as pool:
            for function, argument in (
                (lambda lock: 1, threading.Lock()),
                (lambda n: threading.Lock(), 0),
            ):
                try:
                    pool.submit(function, argument).result(30)
                except SerializationError as error:
                    print("lock" in str(error).lower())
            try:
                pool.submit(len, "x" * (65 << 20)).result(60)
            except PayloadTooLarge as error:
                print("64" in str(error) or str(64 << 20) in str(error))
            try:
                pool.submit(lambda n: "x" * n, 65 << 20).result(60)
            except PayloadTooLarge as error:
                print("too large")
            print(pool.submit(pow, 2, 3).result(30))
        """)
    assert said.splitlines() == ["True", "True", "True", "too large", "8"]


def test_the_limit_of_the_broker_counts(broker, node, client):
    broker(max_payload="1M")
    node(channel="calculator")
    said = client().script("""
        from understudy import Executor
        from understudy.exceptions import PayloadTooLarge

        with Executor("calculator") as pool:
            for function, argument in (
                (len, "x" * (2 << 20)),
                (lambda n: "x" * n, 2 << 20),
            ):
                try:
                    pool.submit(function, argument).result(30)
                except PayloadTooLarge as error:
                    print(error)
            print(pool.submit(pow, 2, 3).result(30))
        """)
    argument, result, good = said.splitlines()
    assert "2.0 MiB" in argument and "1.0 MiB" in argument
    assert "1048576" in result
    assert good == "8"


def test_the_limit_of_a_client_counts(broker, node, client):
    """A result that its broker takes stays there for a client that may have it."""
    broker(max_payload="8M")
    node(channel="calculator")
    user = client()
    script = """
        import sys
        from understudy import Executor, Result
        from understudy.exceptions import PayloadTooLarge

        with Executor("calculator") as pool:
            result = pool.submit("x".__mul__, 2 << 20)
            if sys.argv[1:]:
                result = Result(sys.argv[1], channel="calculator")
            try:
                print(len(result.result(30)))
            except PayloadTooLarge as error:
                print(result.uuid, error)
        """
    uuid, said = user.script(script, UNDERSTUDY_MAX_PAYLOAD="1M").split(maxsplit=1)
    assert "max-payload" in said and "1048576" in said
    assert "has 20971" in said
    assert user.script(script, uuid) == "2097152\n"


def test_a_shell_command_that_is_too_long(user):
    said = user.script("""
        from understudy import Lead
        from understudy.exceptions import PayloadTooLarge

        lead = Lead("calculator")
        print(lead.shell("echo fits".ljust(131071)).get(timeout=30), end="")
        try:
            lead.shell("echo".ljust(200_000))
        except PayloadTooLarge as error:
            print(error)
        """)
    fits, refused = said.splitlines()
    assert fits == "fits"
    assert "200000 bytes" in refused
    assert "131071" in refused
    assert "function" in refused


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os._exit(3)", "3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_a_worker_that_dies(user, body, words):
    said = user.script(
        f"""
        import os
        import signal

        from understudy import Executor
        from understudy.exceptions import WorkerDied


        def die():
            print("last words", flush=True)
            {body}


        with Executor("calculator") as pool:
            neighbours = [pool.submit(pow, 2, n) for n in range(10)]
            result = pool.submit(die)
            try:
                result.result(30)
            except WorkerDied as error:
                print(str(error).replace("\\n", " "))
            print(result.status, result.log.count("last words"))
            print([n.result(30) for n in neighbours] == [2**n for n in range(10)])
            print(pool.submit(pow, 3, 3).result(30))
        """
    )
    first, *rest = said.splitlines()
    assert words in first
    assert "last words" in first
    assert rest == ["DEAD 3", "True", "27"]


@pytest.mark.parametrize(
    "requirement",
    [
        "--index-url=http://127.0.0.1/",
        "-r /etc/passwd",
        "-e .",
        "; rm -rf /",
        "$(id)",
        "requests @ file:///tmp/x",
        "git+ssh://host/x",
        "a==1 --hash=md5:0",
        "a\n--index-url=x",
        "./local.whl",
        "ｎｕｍｐｙ",
        "",
    ],
)
def test_requirements_that_are_none(user, requirement):
    said = user.script(
        """
        import sys

        from understudy import Executor
        from understudy.exceptions import InvalidRequirement

        try:
            Executor("calculator", packages=[sys.argv[1]]).submit(pow, 1, 1).result(30)
        except InvalidRequirement as error:
            print("refused", error)
        """,
        requirement,
    )
    assert said.startswith("refused")


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("'not-a-uuid'", ("InvalidArgument", "ValueError")),
        ("'00000000-0000-8000-8000-000000000000'", ("JobNotFound",)),
    ],
)
def test_ids_that_are_none(user, argument, error):
    said = user.script(f"""
        from understudy import Result

        try:
            Result({argument}).get(timeout=30)
        except Exception as error:
            print(type(error).__name__)
        """)
    assert said.strip() in error
    done = user.ctl("show", argument.strip("'"), check=False)
    assert done.returncode not in (0, None)
    assert done.stderr.count("\n") <= 2


def test_a_missing_import_is_told_at_the_call(user):
    user.write(
        "jobs.py",
        """
        from understudy.decorators import understudy

        import requests_that_nobody_has


        @understudy("calculator")
        def fetch():
            return requests_that_nobody_has.get()
        """,
    )
    user.write("requests_that_nobody_has.py", "raise ImportError\n")
    done = user.run(
        [
            "/usr/bin/python3",
            "-c",
            "import sys, types\n"
            "sys.modules['requests_that_nobody_has'] = types.ModuleType('x')\n"
            "import os; os.remove('requests_that_nobody_has.py')\n"
            "import jobs\n"
            "try:\n    jobs.fetch().get(timeout=30)\n"
            "except Exception as error:\n    print(type(error).__name__, error)\n",
        ]
    )
    assert "jobs.py" in done.stdout
    assert "line 3" in done.stdout
    assert "packages=" in done.stdout


def test_time_limits(user):
    said = user.script("""
        import time

        from understudy.decorators import understudy
        from understudy.exceptions import TimeLimitExceeded, UnderstudyError


        @understudy("calculator", timeout=0.3)
        def slow():
            while True:
                time.sleep(0.01)


        @understudy("calculator", hard_timeout=0.3)
        def deaf():
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                try:
                    time.sleep(10)
                except BaseException:
                    pass


        for function in (slow, deaf):
            try:
                function().get(timeout=60)
            except TimeLimitExceeded as error:
                print("TimeLimitExceeded")
        """)
    assert said.splitlines() == ["TimeLimitExceeded"] * 2


def test_hostile_jobs_leave_the_node_alone(user):
    said = user.script("""
        import os
        import subprocess
        import sys

        from understudy import Executor


        def prints_binary():
            os.write(1, bytes(range(256)))
            return 1


        def closes_streams():
            os.close(1)
            os.close(2)
            return 2


        def leaves_children():
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            return 3


        def exits():
            sys.exit(4)


        with Executor("calculator") as pool:
            for job in (prints_binary, closes_streams, leaves_children):
                print(pool.submit(job).result(30))
            try:
                pool.submit(exits).result(30)
            except SystemExit as error:
                print("SystemExit", error.code)
            except Exception as error:
                print(type(error).__name__, error)
            print(pool.submit(pow, 2, 5).result(30))
        """)
    lines = said.splitlines()
    assert lines[:3] == ["1", "2", "3"]
    assert "SystemExit" in lines[3]
    assert lines[4] == "32"
