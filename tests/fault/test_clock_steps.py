# SPDX-License-Identifier: MIT
"""The wall clock steps by an hour, of Redis or of whole machines: nothing runs twice,
ends early or waits for the clock to come back, and brokers are found."""

import json
import time

import pytest

from support import PYTHON, SteppedClock, wait_for

HOUR = 3600
LEASE = 2
SHORT = f"{LEASE}s"
UNTIL_GO = "echo {0} >>{1}/runs; while ! [ -e {1}/go ]; do sleep 0.05; done"

either_way = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])


@pytest.fixture
def clock(directory):
    return SteppedClock(directory)


@pytest.fixture
def redis(clock, make_redis):
    """A Redis under that clock; brokers, nodes and clients are not."""
    return make_redis(prefix=clock.prefix)


class User:
    """Someone who submits shell commands, and looks at what becomes of them."""

    def __init__(self, client, directory, *options):
        self.client, self.directory, self.options = client, directory, options
        (directory / "runs").write_text("")

    def ctl(self, *words, **options):
        return self.client.ctl(*self.options, *words, **options).stdout

    def submit(self, command, *options, channel="calculator"):
        words = ["submit", "--channel", channel, *options, "--shell", command]
        return json.loads(self.ctl("--json", *words))["id"]

    def run(self, command, channel="calculator"):
        words = ["submit", "-w", "--channel", channel, "--shell", command]
        return self.ctl(*words, timeout=15)

    def hold(self, name, *options):
        """A job that has begun, and runs until self.go."""
        job = self.submit(UNTIL_GO.format(name, self.directory), *options)
        wait_for(lambda: name in self.runs(), what=f"{name} runs")
        return job

    def go(self):
        (self.directory / "go").touch()

    def runs(self):
        return (self.directory / "runs").read_text().split()

    def jobs(self):
        rows = map(json.loads, self.ctl("--json", "jobs").splitlines())
        return {row["id"]: {"losses": 0, **row} for row in rows}

    def state(self, job):
        return self.jobs()[job]["state"] if job in self.jobs() else None

    def wait_ended(self, jobs, state="SUCCEEDED", timeout=10):
        wait_for(
            lambda: [self.state(job) for job in jobs] == [state] * len(jobs), timeout
        )


@pytest.fixture
def user(client, directory):
    return lambda *args: User(client(*args), directory)


@either_way
def test_what_runs_goes_on_and_what_is_new_is_run(
    clock, redis, broker, node, user, step
):
    broker(redis, lease=SHORT)
    node(channel="calculator", slots=4)
    me = user()
    running = [me.hold("first"), me.hold("second")]
    clock.step(step)
    # Two leases and more, in which who runs must renew to keep his job.
    assert me.run(f"sleep {2.5 * LEASE}; echo new") == "new\n"
    assert [me.state(job) for job in running] == ["RUNNING"] * 2
    me.go()
    me.wait_ended(running)
    assert sorted(me.runs()) == ["first", "second"]
    assert {row["losses"] for row in me.jobs().values()} == {0}


@either_way
@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_node_that_dies_loses_its_lease(clock, redis, broker, node, user, step, dies):
    """Not before a lease has passed since the step, and not long afterwards. The
    channel has seen rounds of the broker, or is new."""
    broker(redis, lease=SHORT)
    first = node(channel="calculator", slots=1)
    me = user()
    if dies == "after":
        me.run("sleep 1")
    job = me.hold("once")
    if dies == "before":
        first.kill()
    clock.step(step)
    stepped = time.monotonic()
    first.kill()
    node(channel="calculator", slots=1)
    wait_for(lambda: me.runs() == ["once", "once"], 2 * LEASE + 5, "the second run")
    assert time.monotonic() - stepped >= LEASE
    me.go()
    me.wait_ended([job])
    assert me.jobs()[job]["losses"] == 1


@either_way
def test_what_waits_for_its_next_attempt(clock, redis, broker, node, user, step):
    broker(redis, lease=SHORT)
    node(channel="calculator", slots=4)
    me = user()
    command = "echo {0} >>{1}/runs; [ -e {1}/go ]"
    jobs = [
        me.submit(command.format(n, me.directory), "--retries", "100")
        for n in range(12)
    ]
    # From the third wait on they wait nearly all the time.
    wait_for(lambda: min(me.runs().count(str(n)) for n in range(12)) >= 4, 20)
    waiting = [row for row in me.jobs().values() if row["state"] == "BACKOFF"]
    assert waiting
    clock.step(step)
    me.go()
    me.wait_ended(jobs, timeout=LEASE + 5)


@either_way
def test_a_time_to_start_within(clock, redis, broker, user, step):
    """It passes as it would have passed without the step."""
    limit = 4
    broker(redis, lease=SHORT)
    me = user()
    long = me.submit("true", "--expire", "10m")
    short = me.submit("true", "--expire", f"{limit}s")
    submitted = time.monotonic()
    clock.step(step)
    new = me.submit("true", "--expire", "1s")
    me.wait_ended([new], "EXPIRED")
    me.wait_ended([short], "EXPIRED", limit + 5)
    assert time.monotonic() - submitted >= limit - 1
    assert me.state(long) == "QUEUED"


@either_way
def test_claims_right_after_a_step(clock, redis, broker, node, user, step):
    """What a node takes before anybody has noticed the step."""
    broker(redis, lease=SHORT)
    node(channel="calculator", slots=1)
    me = user()
    first = me.hold("first")
    jobs = [me.submit("true", "--expire", "10m") for _ in range(10)]
    clock.step(step)
    me.go()
    me.wait_ended([first, *jobs])


def test_what_has_ended_is_kept_after_a_step_forward(clock, redis, broker, node, user):
    broker(redis, keep="10m", keep_jobs=2)
    node(channel="calculator")
    me = user()
    me.run("true")
    me.run("true")
    (first, second) = sorted(me.jobs().values(), key=lambda row: row["ended_ms"])
    clock.step(HOUR)
    me.run("true")
    # Three are one too many: when the first has gone, all have been looked at.
    wait_for(lambda: first["id"] not in me.jobs(), 15)
    assert me.state(second["id"]) == "SUCCEEDED"


def test_what_has_ended_goes_after_a_step_back(clock, redis, broker, node, user):
    broker(redis, keep="3s")
    node(channel="calculator")
    me = user()
    me.run("true")
    clock.step(-HOUR)
    me.run("true")
    wait_for(lambda: not me.jobs(), 20, "the end of what has ended")
    assert not redis("KEYS", "us:{*}:[jr]:*")


def test_what_has_ended_is_seen_and_purged_after_a_step_back(
    clock, redis, broker, node, user
):
    broker(redis)
    node(channel="calculator")
    me = user()
    before = me.submit("true")
    me.wait_ended([before])
    clock.step(-HOUR)
    assert me.state(before) == "SUCCEEDED"
    me.run("true")
    assert len(me.jobs()) == 2
    me.ctl("purge", "--yes")
    assert me.jobs() == {}


@either_way
def test_brokers_are_found(clock, redis, broker, node, user, client, step):
    """Through the registry, by clients and nodes that come after the step."""
    brokers = [broker(redis), broker(redis)]
    me = user("")
    me.options = ("--redis", redis.url)
    node(redis=redis, channel="calculator")
    assert me.run("echo before") == "before\n"
    clock.step(step)
    assert me.run("echo after") == "after\n"
    node(redis=redis, channel="later")
    assert me.run("echo later", channel="later") == "later\n"
    rows = [json.loads(x) for x in me.ctl("--json", "brokers").splitlines()]
    assert len(rows) == len(brokers)
    assert len(me.ctl("--json", "nodes").splitlines()) == 2


LOAD = """
    import sys
    import time

    from understudy import Executor


    def job(n, directory):
        import time

        with open(directory + "/runs", "a") as runs:
            runs.write(f"{n}\\n")
        time.sleep(0.05)
        return n


    with Executor("calculator") as pool:
        futures = [pool.submit(job, n, sys.argv[1]) for n in range(100)]
        print("wall", time.time(), flush=True)
        assert [future.result(60) for future in futures] == list(range(100))
        print("all", time.time(), flush=True)
"""


@pytest.mark.parametrize("whose, step", [("daemons", HOUR), ("machine", -HOUR)])
def test_of_all_processes(clock, broker, node, client, user, redis_server, whose, step):
    """The daemons and the client, with Redis (the broker's own) or without."""
    if whose == "machine":
        broker(lease=SHORT, env=clock.env)
    else:
        broker(redis_server, lease=SHORT, env=clock.env)
    node(channel="calculator", slots=3, env=clock.env)
    me = user()
    limits = ("--soft-limit", "10m", "--hard-limit", "10m", "--expire", "10m")
    limited = me.hold("limited", *limits)
    loader = client(None, clock.prefix)
    path = loader.write("load.py", LOAD)
    load = loader.start("load", [PYTHON, path, me.directory])
    wait_for(lambda: len(me.runs()) > 10, 20)
    clock.step(step)
    assert load.wait(30) == 0, load.output
    words = load.output.split()
    assert abs(float(words[3]) - float(words[1]) - step) < HOUR / 2
    assert me.state(limited) == "RUNNING"
    me.go()
    me.wait_ended([limited])
    assert sorted(me.runs()) == sorted(["limited", *map(str, range(100))])
