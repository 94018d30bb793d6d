# SPDX-License-Identifier: MIT
"""Two brokers on one Redis: submit through one, run on a node of the other."""

import json
import re
from datetime import datetime

import pytest

from support import BIN, PYTHON, free_port, wait_for


@pytest.fixture
def pair(redis_server, broker, node, client):
    """A client of a broker without nodes; the node is with the other broker."""
    mine, other = broker(redis_server), broker(redis_server)
    node(other, channel="calculator")
    return client(mine), client(other), mine, other


@pytest.mark.core
def test_a_job_crosses(pair):
    near, far, _, _ = pair
    said = near.script("""
        from understudy import Executor


        def job(n):
            print("line", n, flush=True)
            return n * n


        with Executor("calculator") as pool:
            print(list(pool.map(job, range(20))))
        """)
    assert said == f"{[n * n for n in range(20)]}\n"
    rows = [json.loads(line) for line in far.ctl("--json", "jobs").stdout.splitlines()]
    assert len(rows) == 20
    uuid = rows[0]["id"]
    for side in (near, far):
        assert "line" in side.ctl("logs", uuid).stdout


def test_the_log_crosses_while_it_grows(pair):
    near, far, _, _ = pair
    path = near.write(
        "grow.py",
        """
        import sys

        from understudy import Lead

        result = Lead("calculator").shell("echo one; read line < PIPE; echo two")
        """.replace("PIPE", str(near.directory / "pipe"))
        + """
        result.accepted(30)
        print(result.uuid, flush=True)
        for line in result.stream_log():
            print(line.strip(), flush=True)
        """,
    )
    import os

    os.mkfifo(near.directory / "pipe")
    running = near.start("grow", [PYTHON, path])
    wait_for(lambda: "one" in running.output, 60)
    uuid = running.output.split()[0]
    follow = far.start("logs", [*_ctl(), "logs", "-f", uuid])
    wait_for(lambda: "one" in follow.output, 60)
    (near.directory / "pipe").write_text("go\n")
    assert running.wait() == 0
    assert follow.wait() == 0
    assert running.output.split()[1:] == ["one", "two"]
    assert follow.output == "one\ntwo\n"


def _ctl():
    from support import BIN

    return [BIN / "understudy-ctl"]


def test_cancel_crosses(pair):
    near, _, _, _ = pair
    said = near.script("""
        from understudy import Lead
        from understudy.exceptions import JobCancelled

        result = Lead("calculator").shell("echo up; sleep 1000")
        for line in result.stream_log():
            break
        print(result.interrupt())
        try:
            result.get(timeout=30)
        except JobCancelled:
            print("cancelled")
        """)
    assert said.splitlines() == ["True", "cancelled"]


def test_a_node_is_drained_through_either(pair, stage):
    near, far, _, _ = pair
    # The other broker has told Redis of it, perhaps only after it told the node.
    (line,) = wait_for(lambda: nodes_of(near))
    name = json.loads(line)["name"]
    near.ctl("drain", name)
    (node,) = [one for one in stage._services if one.name == "understudy-node"]
    assert node.wait() == 0
    wait_for(lambda: not nodes_of(far))


def test_doctor_sees_the_nodes_of_both(pair, client):
    near, _, _, _ = pair
    wait_for(lambda: nodes_of(near))
    near.ctl("submit", "--channel", "nobody", "--shell", "true")
    near.ctl("submit", "--channel", "calculator", "--shell", "sleep 30")
    for _ in range(3):
        near.ctl("submit", "--channel", "calculator", "--shell", "true")
    said = near.ctl("doctor").stdout
    assert "channel nobody: 1 job queued and no node listens there" in said
    assert "channel calculator" not in said


def nodes_of(user):
    return user.ctl("--json", "nodes").stdout.splitlines()


def test_a_result_is_read_through_either(pair):
    near, far, _, _ = pair
    uuid = near.ctl(
        "--json", "submit", "--channel", "calculator", "--shell", "echo x"
    ).stdout
    uuid = json.loads(uuid)["id"]
    for side in (far, near):
        said = side.script(
            """
            import sys

            from understudy import Result

            print(Result(sys.argv[1]).get(timeout=30), end="")
            """,
            uuid,
        )
        assert said == "x\n"


def test_the_other_broker_takes_over(redis_server, broker, node, client):
    """Kill -9 of the broker that both use: client and node go to the other one."""
    first, second = broker(redis_server), broker(redis_server)
    both = f"{first.endpoint},{second.endpoint}"
    node(both, channel="calculator")
    user = client(both)
    path = user.write(
        "over.py",
        """
        from understudy import Executor


        def job(n):
            import time

            time.sleep(0.05)
            return n


        with Executor("calculator") as pool:
            futures = [pool.submit(job, n) for n in range(100)]
            futures[10].result(60)
            print("begun", flush=True)
            print(sum(f.result(60) for f in futures), flush=True)
        """,
    )
    running = user.start("over", [PYTHON, path])
    wait_for(lambda: "begun" in running.output, 30)
    first.kill()
    assert running.wait(60) == 0, running.output
    assert str(sum(range(100))) in running.output


def test_a_redis_that_does_not_suit_is_asked_with_pauses(redis_server, broker, client):
    """After a fail-over the address may lead to a replica for long."""
    served = broker(redis_server)
    user = client(served)
    redis_server("REPLICAOF", "127.0.0.1", free_port())
    ctl = [BIN / "understudy-ctl", "--timeout", "60s", "submit", "--shell", "true"]
    submit = user.start("submit", ctl)

    def refusals():
        return re.findall(r"^(\S+)Z error store.unfit", served.output, re.M)

    wait_for(lambda: len(refusals()) >= 7, 30)
    first, *_, seventh = map(datetime.fromisoformat, refusals()[:7])
    assert (seventh - first).total_seconds() > 0.5
    redis_server("REPLICAOF", "NO", "ONE")
    assert submit.wait() == 0
