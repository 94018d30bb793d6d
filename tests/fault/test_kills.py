# SPDX-License-Identifier: MIT
"""Kill -9 of each part under load. What must hold: no accepted job is lost, each has
one result, and none runs twice where the design promises that."""

import collections
import os
import signal

import pytest

from support import PYTHON, wait_for
from support.processes import command_line, descendants

JOBS = 200

LOAD = """
    import sys

    from understudy import Executor


    def job(n, directory):
        import os
        import time

        with open(os.path.join(directory, "runs"), "a") as runs:
            runs.write(f"{n}\\n")
        time.sleep(0.01)
        print("job", n)
        return n * n


    with Executor("calculator") as pool:
        futures = [pool.submit(job, n, sys.argv[1]) for n in range(int(sys.argv[2]))]
        futures[0].result(60)
        print("begun", flush=True)
        values = [future.result(120) for future in futures]
        assert values == [n * n for n in range(len(values))], values
        print("all", len(values), flush=True)
"""


class Load:
    """A client that waits for its jobs, and the list of what ran."""

    def __init__(self, user, directory, jobs=JOBS, *flags):
        self.directory, self.jobs = directory, jobs
        (directory / "runs").write_text("")
        path = user.write("load.py", LOAD)
        self.process = user.start("load", [PYTHON, path, directory, str(jobs), *flags])
        wait_for(lambda: "begun" in self.process.output, 60, "the first result")

    def ran(self):
        return collections.Counter((self.directory / "runs").read_text().split())

    def wait_for_more(self, count):
        """Runs, as long as there is something to run."""
        wanted = min(sum(self.ran().values()) + count, self.jobs)
        wait_for(lambda: sum(self.ran().values()) >= wanted, 60)

    def finish(self, timeout=120):
        code = self.process.wait(timeout)
        assert code == 0, self.process.output
        assert f"all {self.jobs}" in self.process.output
        ran = self.ran()
        assert len(ran) == self.jobs
        return sum(ran.values()) - self.jobs


@pytest.fixture
def load(client, directory):
    def start(*args, **options):
        return Load(client(*args, **options), directory)

    return start


def workers_of(node):
    return [p for p in descendants(node.pid) if "understudy-worker" in command_line(p)]


def test_workers(broker, node, load):
    broker()
    listening = node(channel="calculator")
    running = load()
    for _ in range(5):
        victims = wait_for(lambda: workers_of(listening))
        os.kill(victims[0], signal.SIGKILL)
        running.wait_for_more(5)
    again = running.finish()
    assert again <= 5  # only what a dead worker was at


def test_a_node(broker, node, load):
    broker(lease="2s")
    first = node(channel="calculator")
    running = load()
    node(channel="calculator")
    first.kill()
    again = running.finish()
    assert again <= 64 + 2


def test_the_only_broker(redis_server, broker, node, load):
    """Back within the lease: nothing runs twice."""
    first = broker(redis_server)
    node(first, channel="calculator")
    running = load()
    first.kill()
    before = sum(running.ran().values())
    broker(redis_server, bind=first.endpoint)
    assert running.finish() == 0
    assert sum(running.ran().values()) >= before


def test_one_of_two_brokers(redis_server, broker, node, client, directory):
    first, second = broker(redis_server), broker(redis_server)
    both = f"{first.endpoint},{second.endpoint}"
    node(both, channel="calculator")
    running = Load(client(both), directory)
    first.kill()
    assert running.finish() == 0


@pytest.mark.slow
def test_redis(make_redis, broker, node, load):
    server = make_redis(appendfsync="always")
    broker(server)
    node(channel="calculator")
    running = load()
    for _ in range(3):
        server.kill()
        server.start()
        running.wait_for_more(10)
    assert running.finish() == 0


def test_the_private_redis(broker, node, load):
    served = broker()
    node(channel="calculator")
    running = load()
    child = next(p for p in descendants(served.pid) if "redis" in command_line(p))
    os.kill(child, signal.SIGKILL)
    assert running.finish() == 0


@pytest.mark.slow
def test_redis_is_away_for_longer_than_a_lease(make_redis, broker, node, load):
    """Nobody could renew, so silence says nothing: no job runs twice."""
    server = make_redis(appendfsync="always")
    broker(server, lease="3s")
    node(channel="calculator")
    running = load()
    server.pause()
    with pytest.raises(AssertionError):
        wait_for(lambda: running.process.popen.poll() is not None, 7)
    server.resume()
    assert running.finish() == 0


@pytest.mark.slow
def test_a_node_that_is_stopped_past_its_lease(broker, node, client):
    """Its jobs run elsewhere; what it says afterwards changes nothing."""
    broker(lease="1s")
    frozen = node(channel="calculator", slots=1)
    user = client()
    path = user.write(
        "late.py",
        """
        import sys

        from understudy import Executor


        def who(go):
            import os
            import time

            print(os.getppid(), flush=True)
            while not os.path.exists(go):
                time.sleep(0.01)
            return os.getppid()


        result = Executor("calculator").submit(who, sys.argv[1])
        for line in result.stream_log():
            print("first", line.strip(), flush=True)
            break
        print("value", result.result(60), result.uuid, flush=True)
        """,
    )
    go = user.directory / "go"
    running = user.start("late", [PYTHON, path, str(go)])
    wait_for(lambda: "first" in running.output, 30)
    frozen.pause()
    for pid in descendants(frozen.pid):
        os.kill(pid, signal.SIGSTOP)
    go.touch()
    other = node(channel="calculator", slots=1)
    assert running.wait(60) == 0
    words = running.output.split()
    value, uuid = words[words.index("value") + 1 :]
    assert value == str(other.pid)
    for pid in descendants(frozen.pid):
        os.kill(pid, signal.SIGCONT)
    frozen.resume()
    # Its only slot is free again: of the old job it has nothing more to say.
    assert other.stop() == 0
    user.script(
        "from understudy import Lead; Lead('calculator').shell('true').result(60)"
    )
    again = f"from understudy import Result; print(Result('{uuid}').result(60))"
    assert user.script(again).split() == [value]


def test_no_process_outlives_its_node(broker, node, client):
    broker()
    listening = node(channel="calculator")
    user = client()
    path = user.write(
        "sleepers.py",
        """
        from understudy import Lead

        command = "sleep 1000 & setsid sleep 2000 & echo up; sleep 1000"
        results = [Lead("calculator").shell(command)]
        for line in results[0].stream_log():
            print(line, flush=True)
            break
        results[0].exception(60)
        """,
    )
    running = user.start("sleepers", [PYTHON, path])
    wait_for(lambda: "up" in running.output, 30)
    wait_for(lambda: "sleep 2000" in map(command_line, descendants(listening.pid)))
    family = descendants(listening.pid)
    listening.kill()
    running.kill()
    wait_for(
        lambda: not [p for p in family if "understudy" in command_line(p)],
        what="the end",
    )
    # What a job started and what ignores its parent's end is a child of init now; the
    # zygote ends the workers' groups, and finds what has a session of its own.
    wait_for(lambda: not [p for p in family if command_line(p)], what="their end")
