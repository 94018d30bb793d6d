# SPDX-License-Identifier: MIT
"""FLUSHALL: Redis forgets every job at once. What a client still waits for is submitted
anew; who knows only an id is told that there is no such job; nothing hangs, and new
jobs run."""

import json

from support import BIN, PYTHON, wait_for

WAITING = """
    import sys

    from understudy import Executor


    def slow(folder, n):
        import pathlib
        import time

        (pathlib.Path(folder) / f"began{n}").touch()
        while not (pathlib.Path(folder) / "go").exists():
            time.sleep(0.01)
        return n


    with Executor("calculator") as pool:
        futures = [pool.submit(slow, sys.argv[1], n) for n in range(4)]
        print(sum(future.result(60) for future in futures), flush=True)
"""

OPEN = """
    import sys

    from understudy import Result
    from understudy.exceptions import JobNotFound

    job = Result(sys.argv[1])
    assert not job.check()
    print("waits", flush=True)
    try:
        job.result(60)
    except JobNotFound:
        print("not found", flush=True)
"""

UNTIL_GO = "echo began; while ! [ -e {}/go ]; do sleep 0.1; done"


def submit(user, command):
    """The id of a job that nobody waits for."""
    said = user.ctl("--json", "submit", "--channel", "calculator", "--shell", command)
    return json.loads(said.stdout)["id"]


def test_waiting_calls_end_with_their_values(
    make_redis, broker, node, client, directory
):
    server = make_redis()
    broker(server)
    node(channel="calculator", slots=2)
    user = client()
    path = user.write("waiting.py", WAITING)
    running = user.start("waiting", [PYTHON, path, directory])
    wait_for(lambda: len(list(directory.glob("began*"))) == 2, 20)
    wait_for(lambda: len(server("KEYS", "us:{*}:j:*")) == 4, 20, "four jobs")
    server("FLUSHALL")
    (directory / "go").touch()
    assert running.wait(40) == 0, running.output
    assert running.output == "6\n"


def test_who_knows_only_an_id_is_told(make_redis, broker, node, client, directory):
    server = make_redis()
    services = [broker(server), node(channel="calculator", slots=1)]
    user = client()
    running, queued = (submit(user, UNTIL_GO.format(directory)) for _ in range(2))
    path = user.write("open.py", OPEN)
    waiters = [user.start("open", [PYTHON, path, job]) for job in (running, queued)]
    ctl = BIN / "understudy-ctl"
    log = user.start("log", [ctl, "logs", "-f", running])
    wait_for(lambda: all("waits" in waiter.output for waiter in waiters), 20)
    wait_for(lambda: "began" in log.output, 20)
    server("FLUSHALL")
    for waiter in waiters:
        assert waiter.wait(30) == 0
        assert waiter.output == "waits\nnot found\n"
    assert log.wait(30) == 1
    assert "no such job" in log.output
    said = user.ctl("show", running, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    new = ["submit", "-w", "--channel", "calculator", "--shell", "echo new"]
    assert user.ctl(*new, timeout=40).stdout == "new\n"
    assert all(service.running for service in services)
