# SPDX-License-Identifier: MIT
"""Redis out of memory: submits wait, what runs ends, and its log is whole."""

import contextlib
import subprocess

import pytest

from support import PYTHON, wait_for

LOAD = """
    import sys
    import time

    from understudy import Executor


    def short(n):
        return n


    def long(n):
        import time

        print("first", n)
        time.sleep(n % 7 / 10)
        print("last", n)
        return n


    with Executor("calculator") as pool:
        futures = []
        for n in range(1200):
            futures.append(pool.submit(short if n % 8 else long, n))
            if n % 50 == 49:
                time.sleep(0.1)
        print("submitted", flush=True)
        assert [f.result(120) for f in futures] == list(range(1200))
        logs = [(n, futures[n].log) for n in range(0, 1200, 8)]
        assert [x for x in logs if x[1] != "first %d\\nlast %d" % (x[0], x[0])] == []
        print("whole", flush=True)
"""


@pytest.mark.slow
def test_the_log_is_whole_when_redis_is_full_for_a_while(
    make_redis, broker, node, client
):
    server = make_redis()
    broker(server)
    node(channel="calculator", slots=6)
    user = client()
    running = user.start("load", [PYTHON, user.write("load.py", LOAD)])
    wait_for(lambda: server("KEYS", "us:*:l0:*"), 30, "the first log")
    while "submitted" not in running.output and running.running:
        for limit in ("1mb", "0"):
            server("CONFIG", "SET", "maxmemory", limit)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.popen.wait(0.1)
    assert running.wait(120) == 0, running.output
    assert "whole" in running.output
