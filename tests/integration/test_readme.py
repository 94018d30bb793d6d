# SPDX-License-Identifier: MIT
"""Every block of the README is run as it stands there."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from support import BIN, PYTHON, wait_for
from support.documents import Document
from support.paths import ROOT
from support.processes import alive, descendants

README = Document("README.md")
blocks = README.blocks


def shell_block(word):
    (text,) = [text for text in blocks("sh") if word in text]
    return text


@pytest.fixture
def user(client, wheel_index):
    """Someone who has the files of the tour, and a node's package index."""
    wheel_index.add(
        "pytz",
        "2024.1",
        {
            "pytz/__init__.py": "class timezone:\n"
            "    def __init__(self, zone):\n        self.zone = zone\n"
        },
    )
    user = client()
    user.env["UNDERSTUDY_INDEX_URL"] = wheel_index.url
    for kind, title, text in README.all:
        if kind == "python" and title.endswith(".py"):
            user.write(title, text)
    return user


def test_the_tour(user):
    terminal = user.start("listen", [PYTHON, "listen.py"])
    wait_for(lambda: "listening on channel" in terminal.output, 60)
    user.write("tour.txt", blocks("python", "tour")[0])
    done = user.run([PYTHON, "-m", "doctest", "tour.txt"], check=False)
    assert done.returncode == 0, done.stdout + terminal.output
    zones = "from zones import TimeZoneTool; print(TimeZoneTool().eastern())"
    assert user.run([PYTHON, "-c", zones], timeout=120).stdout == "US/Eastern\n"
    assert user.run([PYTHON, "futures.py"]).stdout == "[0, 1, 4, 9, 16]\n" * 2
    children = descendants(terminal.pid)
    terminal.signal(signal.SIGINT)
    terminal.wait()
    # Its broker ends by itself, 5 s after its last node.
    wait_for(lambda: not any(alive(pid) for pid in children), 20)


def test_the_commands(hosts, stage):
    """On a machine of its own, so that the README's addresses are free."""
    host = hosts.add("readme")
    user = stage.client(prefix=host.prefix)
    user.env["PATH"] = f"{BIN}:{user.env['PATH']}"
    daemons = shell_block("understudy-node --channel").strip().splitlines()
    started = [user.start("daemon", ["sh", "-c", f"exec {line}"]) for line in daemons]
    wait_for(lambda: "ready" in started[0].output, 20)
    for line in shell_block("understudy-ctl status").strip().splitlines():
        done = user.run(["sh", "-c", line], check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert (
        "hello"
        in user.run(
            [
                "sh",
                "-c",
                "understudy-ctl logs $(understudy-ctl --json "
                "jobs | grep -o '[0-9a-f-]\\{36\\}' | head -n 1)",
            ]
        ).stdout
    )
    for daemon in reversed(started):
        assert daemon.stop() == 0


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        ["cmake", "--install", str(ROOT / "build"), "--prefix", str(prefix)],
        check=True,
        capture_output=True,
    )
    return prefix


def build_environment(installed):
    (pkgconfig,) = installed.glob("lib*/**/pkgconfig")
    return {
        "PATH": "/usr/bin:/bin",
        "PKG_CONFIG_PATH": str(pkgconfig),
        "LD_LIBRARY_PATH": str(pkgconfig.parent),
    }


@pytest.fixture(params=["pkg-config", "cmake"])
def example(request, installed, directory):
    """The C example, built against the installed tree in both ways."""
    env = build_environment(installed)
    source = directory / "c"
    shutil.copytree(ROOT / "docs/examples/c", source)
    if request.param == "cmake":
        for command in (
            ["cmake", "-S", ".", "-B", "out", f"-DCMAKE_PREFIX_PATH={installed}"],
            ["cmake", "--build", "out"],
        ):
            subprocess.run(
                command, cwd=source, env=env, check=True, capture_output=True
            )
        return source / "out" / "example", env
    (command,) = [text for text in blocks("sh") if "pkg-config" in text]
    subprocess.run(["sh", "-ec", command], cwd=source, env=env, check=True)
    return source / "example", env


def test_the_c_example(example, broker, node, directory):
    program, env = example
    served = broker()
    node(channel="default")
    done = subprocess.run(
        [program],
        env={**env, "UNDERSTUDY_BROKER": served.endpoint, "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scaling" in done.stdout  # its log, line by line
    # How far it has come by then is the machine's affair.
    still = r"^still (UNSENT|QUEUED|LEASED|RUNNING) after half a second; ending it$"
    assert re.search(still, done.stdout, re.M), done.stdout
    assert "CANCELLED" in done.stdout


def test_the_c_lines(installed, directory, broker, node):
    """The README's lines of C, with a main around them."""
    env = build_environment(installed)
    (lines,) = blocks("c")
    source = directory / "lines.c"
    source.write_text(
        "#include <understudy/understudy.h>\n#include <stdio.h>\nint main (void) {\n"
        "us_options_t *options = NULL; us_client_t *client = NULL;\n"
        "us_options_new (&options, NULL, 0); us_client_new (&client, options);\n"
        + lines
        + 'printf ("%s\\n", us_state_name (us_result_state (result)));\n'
        "us_result_destroy (&result); us_client_destroy (&client);\n"
        "us_options_destroy (&options); return 0; }\n"
    )
    command = (
        "cc -Wall -Werror -o lines lines.c $(pkg-config --cflags --libs understudy)"
    )
    subprocess.run(["sh", "-ec", command], cwd=directory, env=env, check=True)
    served = broker()
    node(channel="calculator")
    env["UNDERSTUDY_BROKER"] = served.endpoint
    done = subprocess.run(
        [directory / "lines"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "SUCCEEDED\n"


def test_the_two_commands_are_there():
    for line in shell_block("scripts/demo").strip().splitlines():
        assert os.access(ROOT / line.split()[0], os.X_OK)
