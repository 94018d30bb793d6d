# SPDX-License-Identifier: MIT
"""The wall clock steps by an hour, of Redis or of whole machines: nothing runs twice,
ends early or waits for the clock to come back, and brokers are found."""

import json
import time

import pytest

from support import SteppedClock, wait_for

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
