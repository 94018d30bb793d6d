# SPDX-License-Identifier: MIT
"""The connection to Redis goes between a function's run and its answer."""

import json
import time

import pytest

from support import PATIENCE, PYTHON, RedisProxy, wait_for

JOBS = 40
PROMPT = 60
LEASE = 180 * PATIENCE  # long: what runs before did not wait for it
CLAIMED = b"echo "  # only the answer to a claim has the body of a job

LOAD = f"""
    from understudy import Lead

    results = [Lead("calculator").shell("echo %d" % n) for n in range({JOBS})]
    values = [int(result.result({PROMPT * PATIENCE})) for result in results]
    assert values == list(range({JOBS})), values
"""


@pytest.fixture
def proxy(directory, redis_server):
    proxy = RedisProxy(directory, redis_server)
    yield proxy
    proxy.close()


def leased(redis):
    keys = redis("KEYS", "us:{*}:c:calculator")
    return int(redis("HGET", keys[0], "leased") or 0) if keys else 0


def rows(user):
    lines = user.ctl("--json", "jobs").stdout.splitlines()
    return [{"losses": 0, **json.loads(line)} for line in lines]


@pytest.mark.parametrize("brokers", ["one", "two"])
def test_of_a_claim(redis_server, proxy, broker, node, client, brokers):
    """Its jobs run as soon as the broker has a connection again, and no loss is
    counted. The client's broker is that of the node, or another one."""
    cut_off = broker(proxy, lease=f"{LEASE:.0f}s")
    other = broker(redis_server, lease=f"{LEASE:.0f}s") if brokers == "two" else cut_off
    node(cut_off, channel="calculator", slots=8)
    user = client(other)
    user.script(
        "from understudy import Lead; Lead('calculator').shell('true').result()"
    )
    path = user.write("load.py", LOAD)
    proxy.swallow(CLAIMED)
    running = user.start("load", [PYTHON, path])
    proxy.wait_swallowed(PROMPT * PATIENCE)
    assert leased(redis_server) > 0
    before = time.monotonic()
    proxy.cut()
    assert running.wait(PROMPT) == 0, running.output
    assert time.monotonic() - before < PROMPT * PATIENCE
    assert "given back" in cut_off.output
    wait_for(lambda: len(rows(user)) == JOBS + 1, 10)
    assert [row["losses"] for row in rows(user)] == [0] * (JOBS + 1)
    assert leased(redis_server) == 0
