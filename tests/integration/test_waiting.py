# SPDX-License-Identifier: MIT
"""Whoever waits is told what for: in Python, in C and by understudy-ctl, in the same
words, which the broker finds."""

import json
import socket
from contextlib import closing

import pytest

from support import BIN, PYTHON, wait_for
from support.processes import StartError

pytestmark = pytest.mark.core


def why(user, job):
    return json.loads(user.ctl("--json", "why", job).stdout)


def submit(user, *args):
    return user.ctl("submit", *args).stdout.strip()


def test_no_node_and_a_name_that_was_misspelt(broker, node, client):
    broker()
    node(channel="calculator", name="n1")
    user = client()
    job = submit(user, "--channel", "calcuator", "--shell", "true")
    row = why(user, job)
    assert user.ctl("why", job).stdout == f"QUEUED: {row['text']}\n"
    assert (row["state"], row["why"]) == ("QUEUED", "no node")
    assert "no node listens on channel 'calcuator'" in row["text"]
    assert "did you mean 'calculator'?" in row["text"]
    assert "understudy-node --channel calcuator" in row["text"]
    row = why(user, submit(user, "--channel", "something", "--shell", "true"))
    assert "did you mean" not in row["text"]


def test_a_job_that_is_not_there(broker, client):
    broker()
    done = client().ctl("why", "0" * 12 + "-8000-8000-000000000000", check=False)
    assert done.returncode == 1
    assert "no such job" in done.stderr


def test_a_python_that_nobody_offers(broker, node, client):
    broker()
    node(channel="calculator")
    user = client()
    job = submit(user, "--channel", "calculator", "--python", "3.99", "--shell", "true")
    row = why(user, job)
    assert row["why"] == "no python"
    assert "Python 3.99" in row["text"]
    assert "they offer 3." in row["text"]


def test_all_slots_are_busy_and_then_it_runs(broker, node, client, directory):
    broker()
    node(slots=2, name="n1")
    user = client()
    go = directory / "go"
    busy = [
        submit(user, "--shell", f"until [ -e {go} ]; do sleep 0.05; done")
        for _ in range(2)
    ]
    wait_for(lambda: all(why(user, job)["why"] == "running" for job in busy))
    row = why(user, busy[0])
    assert row["text"].startswith("it runs on n1 since ")
    waiting = [submit(user, "--shell", "true") for _ in range(9)]
    wait_for(lambda: why(user, waiting[-1])["why"] == "busy")
    row = why(user, waiting[-1])
    assert "all 2 slots of 1 node on channel 'default' are busy" in row["text"]
    assert f"about {row['queued']} jobs wait there" in row["text"]
    assert row["queued"] in range(2, 10)
    go.touch()
    wait_for(lambda: why(user, waiting[-1])["why"] == "ended")
    assert why(user, waiting[-1])["text"] == "it has ended: SUCCEEDED"


def test_an_environment_is_being_built(broker, node, client):
    """The node that has it, and some of the packages, stand there."""
    broker()
    user = client()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:  # an index
        node(name="n1", index_url=f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        job = submit(user, "--package", "us-demo", "--shell", "true")
        wait_for(lambda: why(user, job)["why"] == "starting")
        text = why(user, job)["text"]
        assert text.startswith("n1 has taken it")
        assert "(us-demo)" in text
        user.ctl("cancel", job)


def test_nodes_that_are_drained_take_no_more(broker, node, client, directory):
    broker()
    node(name="n1")
    user = client()
    go = directory / "go"
    running = submit(user, "--shell", f"until [ -e {go} ]; do sleep 0.05; done")
    wait_for(lambda: why(user, running)["why"] == "running")
    user.ctl("drain", "n1")
    row = why(user, submit(user, "--shell", "true"))
    assert row["why"] == "draining"
    go.touch()


def test_python_tells_whoever_waits_and_only_once(broker, node, client):
    broker()
    user = client()
    script = user.write(
        "wait.py",
        """
        from concurrent.futures import ThreadPoolExecutor

        from understudy.decorators import understudy


        @understudy("calcuator")
        def double(x):
            return 2 * x


        jobs = [double(x) for x in range(5)]
        jobs[0].accepted(30)
        print(jobs[0].why(), flush=True)
        with ThreadPoolExecutor(5) as threads:
            print(list(threads.map(lambda job: job.get(60), jobs)), flush=True)
        print(jobs[0].why())
        """,
    )
    waiting = user.start("wait", [PYTHON, script])
    says = "understudy: double waits: no node listens on channel 'calcuator'"
    wait_for(lambda: says in waiting.output)
    node(channel="calcuator")
    assert waiting.wait() == 0
    assert waiting.output.count(says) == 1
    lines = waiting.output.splitlines()
    assert lines[0].startswith("no node listens on channel 'calcuator'")
    assert lines[-2:] == ["[0, 2, 4, 6, 8]", "it has ended: SUCCEEDED"]


def test_a_timeout_says_what_was_waited_for(broker, client):
    broker()
    user = client()
    said = user.script(
        """
        import logging, os
        from understudy.decorators import understudy
        from understudy.exceptions import WaitTimeout
        logging.basicConfig(level="INFO", format="%(name)s %(levelname)s %(message)s")
        @understudy("nowhere")
        def double(x):
            return 2 * x
        try:
            double(1).get(1.5)
        except WaitTimeout as error:
            print(error)
        """,
        check=True,
    )
    assert "double has not ended after 1.5 s: it is QUEUED; no node listens" in said


def test_it_is_quiet_where_that_is_wanted(broker, client):
    broker()
    user = client()
    script = """
        import logging, sys
        from understudy.decorators import understudy
        from understudy.exceptions import WaitTimeout
        logging.basicConfig(level="INFO", format="log %(name)s %(message)s")
        try:
            understudy("nowhere")(abs)(1).get(1.5)
        except WaitTimeout:
            pass
    """
    path = user.write("quiet.py", script)
    loud = user.run([PYTHON, path]).stderr
    assert "understudy: abs waits: no node" in loud
    assert "log understudy abs waits: no node" in loud
    assert user.run([PYTHON, path], UNDERSTUDY_QUIET="1").stderr == ""


def test_ctl_tells_who_waits_for_a_job(broker, node, client):
    broker()
    user = client()
    for more in ((), ("--follow",)):
        argv = [BIN / "understudy-ctl", "submit", "--wait", *more]
        argv += ["--channel", f"calc{len(more)}", "--shell", "echo done"]
        waiting = user.start("wait", argv)
        wait_for(lambda: "the job waits: no node listens on" in waiting.output)
        node(channel=f"calc{len(more)}")
        assert waiting.wait() == 0
        assert waiting.output.endswith("done\n")
        assert waiting.output.count("the job waits: no node") == 1


def test_a_misspelt_command(client):
    done = client("ipc:///nowhere").ctl("stauts", check=False)
    assert done.returncode == 64
    assert "did you mean 'status'?" in done.stderr


def test_errors_of_ctl_are_json_where_that_is_asked_for(broker, client):
    broker()
    user = client()
    done = user.ctl("--json", "show", "0" * 12 + "-8000-8000-000000000000", check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "no such job" in lines[0]["message"]
    assert "--keep" in lines[1]["message"]
    assert done.stdout == ""


def test_an_address_without_its_scheme(client):
    user = client()
    done = user.ctl("--broker", "127.0.0.1:7520", "status", check=False)
    assert done.returncode == 64
    assert "write tcp://127.0.0.1:7520" in done.stderr
    said = user.script(
        """
        from understudy import Executor
        from understudy.exceptions import InvalidArgument
        try:
            Executor(broker="here:7420")
        except InvalidArgument as error:
            print(error)
        """
    )
    assert said == "broker='here:7420': write tcp://here:7420\n"


def test_a_python_that_is_not_there(broker, node):
    broker()
    with pytest.raises(StartError, match="/usr/bin/python3.8: No such file"):
        node(python="/usr/bin/python3.8")
