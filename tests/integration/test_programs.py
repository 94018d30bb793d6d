# SPDX-License-Identifier: MIT
"""A worker serves one program of one owner, and workers of several are kept."""

import os
import textwrap

import pytest

from support import PYTHON, wait_for

SCRIPT = """
    import os
    import sys

    import counter
    from understudy.decorators import understudy

    mine = []


    @understudy(block=True)
    def count():
        return counter.count()


    @understudy(block=True)
    def process(value=None):
        return os.getpid()


    print(process(), process(counter.Value()))
    print(count(), count(), counter.more(), process())
    """
COUNTER = """
from understudy.decorators import understudy
counts = [0]
class Value:
    pass
def count():
    counts[0] += 1
    return counts[0]
@understudy(block=True)
def more():
    return 10 * count()
"""


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel=["default"], slots=1)
    user = client()
    user.write("counter.py", COUNTER)
    return user


def run(user, script, **env):
    first, *numbers, last = map(int, user.script(script, **env).split())
    assert first == numbers.pop(0) == last
    return first, numbers


def test_one_program_keeps_its_worker(user):
    """By name and by value, with and without the module; after another program, too."""
    one, numbers = run(user, SCRIPT)
    assert numbers == [1, 2, 30]
    two, numbers = run(user, SCRIPT + "# another program\n")
    assert two != one and numbers == [1, 2, 30]
    assert run(user, SCRIPT) == (one, [4, 5, 60])
    assert run(user, SCRIPT + "# another program\n") == (two, [4, 5, 60])
    other, numbers = run(user, SCRIPT, UNDERSTUDY_OWNER="somebody else")
    assert other not in (one, two) and numbers == [1, 2, 30]


def test_an_edited_module_gets_a_clean_process(user):
    one, _ = run(user, SCRIPT)
    user.write("counter.py", COUNTER.replace("+= 1", "+= 2"))
    _, _, *numbers, two = map(int, user.script(SCRIPT).split())
    assert two != one and numbers == [2, 4, 60]
    assert run(user, SCRIPT) == (two, [8, 10, 120])


def test_sessions_are_programs(user):
    """A program that comes through standard input is one each time."""
    pids = [
        user.run([PYTHON, "-"], stdin=textwrap.dedent(SCRIPT)).stdout.split()
        for _ in range(2)
    ]
    assert pids[0][0] == pids[0][-1] != pids[1][0]
    assert pids[0][2:-1] == pids[1][2:-1] == ["1", "2", "30"]


def test_idle_workers_end_where_there_is_no_memory(broker, node, client):
    broker()
    node(channel=["default"], slots=1, idle_memory="0")
    user = client()
    user.write("counter.py", COUNTER)
    pid, _ = run(user, SCRIPT)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 20, "its end")


def test_fresh_jobs_share_nothing(user):
    said = user.script("""
        import os
        import counter
        from understudy import Executor

        with Executor("default", isolation="fresh") as pool:
            print([pool.submit(counter.count).result(60) for _ in range(3)])
            print(len({pool.submit(os.getpid).result(60) for _ in range(5)}))
        """)
    assert said == "[1, 1, 1]\n5\n"
