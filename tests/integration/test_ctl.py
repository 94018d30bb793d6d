# SPDX-License-Identifier: MIT
"""understudy-ctl as an operator uses it."""

import json

import pytest

from support import BIN, free_port, wait_for


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel="calculator", name="atlas")
    return client()


def rows(user, *args):
    """--json gives one object a line."""
    return [json.loads(line) for line in user.ctl("--json", *args).stdout.splitlines()]


def submit(user, command, *args):
    line = user.ctl(
        "--json", "submit", "--channel", "calculator", *args, "--shell", command
    )
    return json.loads(line.stdout)["id"]


def ended(user, uuid, state=None):
    wait_for(lambda: show(user, uuid)["ended_ms"] > 0, 30)
    job = show(user, uuid)
    assert state in (None, job["state"])
    return job


def show(user, uuid):
    (job,) = rows(user, "show", uuid)
    return {"ended_ms": 0, **job}


@pytest.mark.core
def test_the_views(user):
    uuid = submit(user, "echo hello")
    ended(user, uuid, "SUCCEEDED")
    (status,) = rows(user, "status")
    assert status["durability"] == "always"
    assert status["nodes"] == 1
    (channel,) = rows(user, "channels")
    assert (channel["name"], channel["succeeded"]) == ("calculator", 1)
    (one,) = rows(user, "nodes")
    assert (one["name"], one["channels"]) == ("atlas", ["calculator"])
    (job,) = rows(user, "jobs", "--channel", "calculator")
    assert (job["id"], job["state"]) == (uuid, "SUCCEEDED")
    assert 0 < job["submitted_ms"] <= job["started_ms"] <= job["ended_ms"]
    assert rows(user, "jobs", "--state", "failed") == []
    assert rows(user, "jobs", "--older", "1h") == []
    assert rows(user, "doctor")
    # For people: aligned columns with a head.
    for view in ("status", "channels", "nodes", "jobs", "envs", "doctor"):
        assert user.ctl(view).stdout.strip()


def test_prefixes_of_ids(user):
    uuid = submit(user, "echo hello")
    ended(user, uuid)
    assert user.ctl("logs", uuid[:8]).stdout == "hello\n"
    others = [submit(user, "true") for _ in range(80)]
    by_start = {}
    for one in others:
        by_start.setdefault(one[:2], []).append(one)
    shared = next(start for start, ids in by_start.items() if len(ids) > 1)
    done = user.ctl("show", shared, check=False)
    assert done.returncode != 0
    assert "several" in done.stderr


def test_logs_follow_until_the_end(user):
    fifo = user.directory / "go"
    import os

    os.mkfifo(fifo)
    uuid = submit(user, f"echo one; read x < {fifo}; echo two")
    follow = user.start("logs", [BIN / "understudy-ctl", "logs", "-f", uuid])
    wait_for(lambda: "one" in follow.output, 60)
    fifo.write_text("x\n")
    assert follow.wait() == 0
    assert follow.output == "one\ntwo\n"


def test_cancel_in_any_state(broker, node, client):
    broker()
    user = client()
    queued = submit(user, "sleep 1000")
    said = user.ctl("cancel", queued).stdout
    assert "cancelled" in said.lower()
    node(channel="calculator")
    running = submit(user, "sleep 1000")
    wait_for(lambda: show(user, running)["state"] == "RUNNING")
    assert user.ctl("cancel", running).stdout
    ended(user, running, "CANCELLED")
    assert "already ended" in user.ctl("cancel", running).stdout
    unknown = "0" * 12 + "-8000-8000-000000000000"
    assert user.ctl("cancel", unknown, check=False).returncode != 0


def findings(user, level):
    """But for those that say that this broker has no keys."""
    said = rows(user, "doctor")
    return [
        row["text"]
        for row in said
        if row["level"] == level
        and not row["text"].startswith(("security:", "results:"))
    ]


def test_doctor_tells_whom_programs_here_believe(broker, client):
    plain = broker()
    for endpoint, level, words in (
        (plain.endpoint, "warning", "whoever listens at tcp://127.0.0.1"),
        (plain.endpoints[-1], "ok", "a broker of your own user and its nodes"),
    ):
        said = {
            row["text"]: row["level"]
            for row in rows(client(endpoint), "doctor")
            if row["text"].startswith("results:")
        }
        ((text, said_level),) = said.items()
        assert words in text
        assert said_level == level
        assert 'trust="data"' in text


def test_doctor_finds_jobs_that_nobody_will_run(broker, node, client):
    """Nobody on the channel; then somebody, without the Python that is wanted."""
    broker()
    node(channel="elsewhere")
    user = client()
    wanted = [submit(user, "true", "--python", "3.99") for _ in range(3)]
    plain = submit(user, "true")
    (said,) = findings(user, "warning")
    assert "channel calculator: 4 jobs queued and no node listens" in said
    assert "elsewhere" in said
    assert "understudy-node --channel calculator" in said
    node(channel="calculator")
    ended(user, plain, "SUCCEEDED")
    (said,) = findings(user, "warning")
    assert "channel calculator: 3 jobs queued for Python 3.99" in said
    assert f"they offer {rows(user, 'nodes')[0]['pythons'][0]}" in said
    assert "--python" in said
    # Nobody takes what was cancelled out of that queue; it does not count all the same.
    user.ctl("cancel", *wanted[:2])
    (said,) = findings(user, "warning")
    assert "1 job queued for Python 3.99" in said
    user.ctl("cancel", wanted[2])
    assert findings(user, "warning") == []


def test_retry_is_a_new_job(user):
    uuid = submit(user, "exit 3")
    ended(user, uuid, "FAILED")
    again = rows(user, "retry", uuid)[0]["id"]
    assert again != uuid
    assert ended(user, again, "FAILED")["retry_of"] == uuid
    assert show(user, uuid)["state"] == "FAILED"


def test_purge(user):
    for _ in range(3):
        ended(user, submit(user, "true"))
    user.ctl("purge", "--channel", "calculator", "--state", "succeeded")
    assert rows(user, "jobs") == []


def test_submit_a_python_function(user):
    user.write(
        "jobs.py",
        "def add(a, b=0, *, c=0):\n    print('adding')\n    return a + b + c\n",
    )
    done = user.ctl(
        *("submit", "--channel", "calculator", "--wait", "jobs.py:add"),
        *("[1, 2]", '{"c": 3}'),
    )
    assert "6" in done.stdout.split()
    failed = user.ctl(
        *("submit", "--channel", "calculator", "--wait", "jobs.py:add", '["x", 1]'),
        check=False,
    )
    assert failed.returncode == 1
    assert "TypeError" in failed.stderr


def test_a_command_is_called_what_it_is(user):
    user.script("""
        from understudy import Lead

        Lead("calculator").shell(f"echo  {'long ' * 20}").get(timeout=30)
        """)
    (ours,) = rows(user, "jobs")
    same = submit(user, f"echo  {'long ' * 20}")
    assert show(user, same)["name"] == ours["name"]
    assert ours["name"].startswith("echo long")
    assert show(user, submit(user, "true", "--name", "short"))["name"] == "short"


def test_submit_tells_how_the_shell_ended(user):
    done = user.ctl(
        *("submit", "--channel", "calculator", "--wait", "--shell", "exit 3"),
        check=False,
    )
    assert done.returncode != 0


def test_drain(user, stage):
    user.ctl("drain", "atlas")
    service = stage._services[-1]
    assert service.wait() == 0
    wait_for(lambda: rows(user, "nodes") == [])
    assert user.ctl("drain", "nobody", check=False).returncode != 0


@pytest.mark.parametrize(
    "args",
    [
        ("show", "zzz"),
        ("show", "../../x"),
        ("logs", "00000000-0000-8000-8000-000000000000"),
        ("cancel", ""),
        ("jobs", "--state", "nonsense"),
        ("jobs", "--channel", "no such"),
        ("nonsense",),
        ("submit", "--channel", "a/b", "--shell", "true"),
        ("submit", "--channel", "calculator", "--package", "--x", "--shell", "true"),
        ("submit", "none.py:f"),
    ],
)
def test_bad_arguments(user, args):
    done = user.ctl(*args, check=False)
    assert done.returncode not in (0, None)
    assert done.returncode > 0, "killed by a signal"
    assert done.stderr.strip()


@pytest.mark.parametrize(
    ("args", "what", "next_step"),
    [
        (("show", "00000000-0000-8000-8000-000000000000"), "no such job", "ctl jobs"),
        (("drain", "nobody"), "no such node", "ctl nodes"),
        (("jobs", "--channel", "nowhere"), "no such channel", "ctl channels"),
        (("submit", "--channel", "a/b", "--shell", "true"), "a/b", "letters, digits"),
    ],
)
def test_errors_say_what_to_do(user, args, what, next_step):
    said = user.ctl(*args, check=False).stderr
    assert what in said
    assert next_step in said
    assert len(said.splitlines()) <= 2


PROGRAMS = ("understudy-broker", "understudy-node", "understudy-ctl")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_teaches(client, program):
    """On a terminal of 80 columns: examples, where settings come from, exit codes."""
    said = client().run([BIN / program, "--help"]).stdout
    assert [line for line in said.splitlines() if len(line) > 79] == []
    assert "Examples:\n  understudy-" in said
    for place in ("--config", "$UNDERSTUDY_CONFIG", "~/.config/understudy/", "/etc/"):
        assert place in said
    assert "Exit codes:\n  0 " in said


def test_without_a_command_help_is_short(client):
    user = client()
    done = user.ctl(check=False)
    assert (done.returncode, done.stdout) == (64, "")
    whole = user.ctl("--help").stdout
    commands = whole.partition("Look around:")[2].partition("Examples:")[0]
    assert commands.strip() in done.stderr
    assert done.stderr.count("\n  understudy-ctl ") == 2
    assert "--help" in done.stderr


@pytest.mark.parametrize("command", ("jobs", "submit"))
def test_help_of_a_command(client, command):
    said = client().ctl(command, "--help").stdout
    assert [line for line in said.splitlines() if len(line) > 79] == []
    assert said.startswith(f"Usage: understudy-ctl {command} ")
    assert ("Examples:" in said) == (command == "submit")


def test_no_broker(client):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    done = client(endpoint).ctl("status", check=False)
    assert done.returncode == 69
    assert endpoint in done.stderr


def test_control_characters_are_escaped(user):
    user.script("""
        from understudy import Executor

        def job():
            pass

        job.__qualname__ = job.__name__ = "evil\\x1b[2J\\n"
        Executor("calculator").submit(job).exception(30)
        """)
    said = user.ctl("jobs").stdout
    assert "evil" in said
    assert "\x1b" not in said


def test_a_broken_pipe_is_quiet(user):
    for _ in range(5):
        submit(user, "true")
    done = user.run(
        ["sh", "-c", f"{BIN}/understudy-ctl jobs | true; {BIN}/understudy-ctl status"]
    )
    assert done.stderr == ""
