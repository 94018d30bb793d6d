# SPDX-License-Identifier: MIT
"""The tour of the README, typed by hand: files as a user writes them, a REPL, and a
terminal that listens."""

import signal
import textwrap

import pytest

from support import PYTHON, wait_for
from support.processes import alive, command_line, descendants

ARITHMETIC = """
    from understudy.decorators import understudy


    class Adder:
        @understudy("calculator")
        def add(self, a, b):
            self.logger.info("Adding %s to %s", a, b)
            return a + b

        @understudy("calculator", block=True)
        def add_now(self, a, b):
            self.logger.info("Adding %s to %s", a, b)
            return a + b


    @understudy
    def double(n):
        return 2 * n
"""


@pytest.fixture
def calculator(broker, node, client):
    """A client beside a broker and a node that listens on two channels."""
    broker()
    node(channel=["calculator", "default"])
    user = client()
    user.write("arithmetic.py", ARITHMETIC)
    return user


@pytest.mark.core
def test_a_method_in_a_repl(calculator):
    said = calculator.repl("""
        from arithmetic import Adder
        result = Adder().add(1, 1)
        result.get(timeout=30)
        result.check()
        result.log
        result.status
        """)
    assert said.split("\n")[:4] == ["2", "2", "'Adding 1 to 1'", "'SUCCEEDED'"]


def test_check_is_none_while_pending(broker, node, client):
    broker()
    user = client()
    user.write("arithmetic.py", ARITHMETIC)
    said = user.script("""
        from arithmetic import Adder

        result = Adder().add(1, 1)
        assert result.accepted(30) is not False
        print(result.check(), result.done(), result.status)
        """)
    assert said == "None False QUEUED\n"


@pytest.mark.core
def test_a_blocking_call_prints_just_the_log(calculator):
    said = calculator.script("""
        from arithmetic import Adder

        print(repr(Adder().add_now(1, 1)))
        """)
    assert said == "Adding 1 to 1\n2\n"


def test_a_method_without_a_channel(calculator):
    said = calculator.script("""
        from arithmetic import double

        print(double(21).get(timeout=30))
        """)
    assert said == "42\n"


@pytest.mark.core
def test_shell(calculator):
    said = calculator.script("""
        from understudy import Lead, ShellError

        result = Lead("calculator").shell('echo "test"')
        print(repr(result.get(timeout=30)), repr(result.log))
        print(repr(Lead("calculator").shell('echo "test"', block=True)))
        try:
            Lead("calculator").shell("echo out; echo err >&2; exit 3").get(timeout=30)
        except ShellError as error:
            print(type(error).__name__, error)
        """)
    lines = said.splitlines()
    assert lines[0] == r"'test\n' 'test'"
    assert lines[1] == "test"
    assert "test" in lines[2]
    assert lines[3].startswith("ShellError")
    assert "3" in lines[3]


def test_a_result_is_opened_in_another_process(calculator):
    uuid = calculator.script("""
        from arithmetic import Adder

        result = Adder().add(20, 22)
        result.accepted(30)
        print(result.uuid)
        """).strip()
    said = calculator.script(
        """
        import sys

        from understudy import Result

        result = Result(sys.argv[1], channel="calculator")
        log = result.log if result.done() else result.get(timeout=30) and result.log
        print(result.get(timeout=30), log, result.uuid)
        """,
        uuid,
        name="other.py",
    )
    assert said == f"42 Adding 20 to 22 {uuid}\n"


LISTEN = """
    import sys

    from understudy import Understudy

    keywords = eval(sys.argv[1]) if len(sys.argv) > 1 else {}
    Understudy("calculator", **keywords).start()
"""


def listens(process):
    """start() has a broker and a node: clients wait for 5 s only."""
    wait_for(lambda: "listening on channel" in process.output, 60)


def listen(user, *args, channel="calculator"):
    """start() in a terminal; its process."""
    path = user.write("listen.py", LISTEN.replace("calculator", channel))
    process = user.start("listen", [PYTHON, path, *args])
    listens(process)
    return process


def call(user, keywords="{}"):
    return user.script(
        """
        import sys

        from understudy import Lead

        keywords = eval(sys.argv[1])
        print(Lead("calculator", **keywords).shell("echo hi").get(timeout=30), end="")
        """,
        keywords,
        name="call.py",
    )


@pytest.fixture
def alone(hosts, stage):
    """A machine with its own loopback, where the default ports are free."""
    host = hosts.add("alone")
    return stage.client(prefix=host.prefix)


def test_start_with_nothing_else_running(alone):
    terminal = listen(alone)
    assert call(alone) == "hi\n"
    assert "no broker answers" in terminal.output
    children = descendants(terminal.pid)
    assert children
    terminal.signal(signal.SIGINT)
    assert terminal.wait() in (0, 1, 130, -signal.SIGINT)
    # The broker ends by itself 5 s after its last node.
    wait_for(lambda: not any(alive(pid) for pid in children), 20)


def test_start_with_a_plain_redis(alone, stage):
    redis = stage.redis(prefix=alone.prefix, tcp=6379)
    terminal = listen(alone, "{'host': 'localhost'}")
    assert call(alone, "{'host': 'localhost'}") == "hi\n"
    assert redis("HLEN", "us:brokers") == 1
    terminal.signal(signal.SIGTERM)
    terminal.wait()
    wait_for(lambda: not redis("HLEN", "us:brokers"), 20)


def test_start_in_a_process_that_is_killed(alone):
    """Its node and workers end with it, the broker by itself; the queue stays."""
    alone.write("listen.py", LISTEN)
    path = alone.write(
        "parent.py",
        """
        import multiprocessing
        import sys
        import time

        from understudy import Understudy

        if __name__ == "__main__":
            process = multiprocessing.Process(target=Understudy("calculator").start)
            process.start()
            print(process.pid, flush=True)
            sys.stdin.readline()
            getattr(process, sys.argv[1])()
            process.join()
        """,
    )
    for how in ("terminate", "kill"):
        parent = alone.start("parent", [PYTHON, path, how], stdin=-1)
        listens(parent)
        assert call(alone) == "hi\n"
        started = descendants(parent.pid)
        nodes = [pid for pid in started if "understudy-node" in command_line(pid)]
        assert nodes
        parent.popen.stdin.write(b"\n")
        parent.popen.stdin.close()
        parent.wait()
        wait_for(lambda: not any(alive(pid) for pid in started), 30)


def test_nobody_listens(broker, client):
    broker()
    said = client().script("""
        from understudy import Lead
        from understudy.exceptions import NoUnderstudiesError

        try:
            Lead("calculator", queue=False).shell("true").get(timeout=30)
        except NoUnderstudiesError as error:
            print("NoUnderstudiesError", error)
        """)
    assert said.startswith("NoUnderstudiesError")
    assert "calculator" in said


def test_nobody_offers_the_python(stage):
    """Whichever broker is asked: the nodes of all count."""
    redis = stage.redis()
    brokers = [stage.broker(redis=redis) for _ in range(2)]
    stage.node(broker=brokers[0], channel="calculator")
    for broker in brokers:
        said = stage.client(broker).script("""
            import platform
            from understudy.decorators import understudy
            from understudy.exceptions import NoUnderstudiesError

            minor = ".".join(platform.python_version_tuple()[:2])
            here = understudy("calculator", queue=False, python=minor)
            print(here(len)("ab").get(60))
            nowhere = understudy("calculator", queue=False, python="3.99")
            try:
                nowhere(len)("").get(60)
            except NoUnderstudiesError as error:
                print(error)
            """)
        assert said.startswith("2\nno node that offers Python 3.99 listens on channel")


def test_queue_waits_for_a_node(broker, node, client):
    broker()
    user = client()
    path = user.write(
        "later.py",
        textwrap.dedent("""
        from understudy import Lead

        result = Lead("calculator").shell("echo late")
        result.accepted(30)
        print("accepted", flush=True)
        print(result.get(timeout=60), end="", flush=True)
        """),
    )
    waiting = user.start("later", [PYTHON, path])
    wait_for(lambda: "accepted" in waiting.output, 60)
    node(channel="calculator")
    assert waiting.wait() == 0
    assert waiting.output == "accepted\nlate\n"


def test_what_is_queued_outlives_all_of_it(alone):
    """The broker that start() began ends, and with it Redis; the next one goes on."""
    script = """
        from understudy import Lead

        result = Lead("later").shell("echo kept")
        result.accepted(30)
        print(result.uuid)
        """
    terminal = listen(alone)
    assert call(alone) == "hi\n"
    uuid = alone.script(script, name="later.py").strip()
    started = descendants(terminal.pid)
    terminal.kill()
    wait_for(lambda: not any(alive(pid) for pid in started), 30)
    terminal = listen(alone, channel="later")
    said = alone.script(
        """
        import sys

        from understudy import Result

        print(Result(sys.argv[1]).get(timeout=30), end="")
        """,
        uuid,
        name="open.py",
    )
    assert said == "kept\n"
    started = descendants(terminal.pid)
    terminal.signal(signal.SIGINT)
    terminal.wait()
    wait_for(lambda: not any(alive(pid) for pid in started), 30)


def test_whoever_waits_is_told_that_nobody_takes_the_job(broker, node, client):
    broker()
    user = client()
    script = user.write(
        "script.py",
        """
        import sys
        from understudy import Executor

        more = {"python": "3.99"} if sys.argv[1:] else {}
        with Executor("calculator", **more) as pool:
            result = pool.submit(pow, 2, 5)
            try:
                print(result.result(4 if more else None))
            finally:
                result.cancel()
        """,
    )
    waiting = user.start("user", [PYTHON, script])
    wait_for(lambda: "pow waits: no node listens on channel" in waiting.output)
    assert "understudy-node --channel calculator" in waiting.output
    node(channel="calculator")
    wait_for(lambda: not waiting.running)
    assert "32" in waiting.output
    said = user.run([PYTHON, script, "3.99"], check=False).stderr
    assert "pow waits: no node that offers Python 3.99 listens on channel" in said
    assert "--python PATH" in said and "WaitTimeout" in said
