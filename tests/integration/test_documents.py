# SPDX-License-Identifier: MIT
"""What the documents say: commands are run as they stand, units are started as systemd
would, pages can be read."""

import configparser
import os
import re
import shlex
import signal
import socket
import subprocess

import pytest

from support import BIN, wait_for
from support.documents import Document
from support.paths import REDIS_CLI, REDIS_SERVER, ROOT

OPERATIONS = Document("docs/operations.md")
UNITS = ROOT / "docs/examples/systemd"
PAGES = sorted((ROOT / "docs/man").iterdir())


@pytest.fixture
def operator(hosts, stage):
    """On a machine of its own, so that the addresses of the page are free."""
    host = hosts.add("operations")
    user = stage.client(prefix=host.prefix)
    user.env["PATH"] = f"{BIN}:{user.env['PATH']}"
    # The page names the default places.
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        del user.env[name]
    return user


def start(user, line, ready):
    daemon = user.start("daemon", ["sh", "-c", f"exec {line}"])
    wait_for(lambda: ready in daemon.output, 60)
    return daemon


def run_lines(user, block):
    for line in block.strip().splitlines():
        user.run(["sh", "-ec", line])


def submit(user, command):
    done = user.run(["understudy-ctl", "submit", "--wait", "--shell", command])
    return done.stdout


def test_operations_several_brokers(operator):
    operator.write("redis.conf", OPERATIONS.block("conf", "redis.conf"))
    redis = start(operator, f"{REDIS_SERVER} redis.conf", "Ready to accept")
    run_lines(operator, OPERATIONS.block("sh", "keys"))
    brokers = OPERATIONS.block("sh", "brokers").strip().splitlines()
    one, two = (start(operator, line, "broker.ready") for line in brokers[:2])
    run_lines(operator, OPERATIONS.block("sh", "admit"))
    node = start(operator, brokers[2], "broker.connected")
    operator.env["UNDERSTUDY_BROKER"] = "tcp://127.0.0.1:7420"
    assert submit(operator, "echo one") == "one\n"
    *before, line = OPERATIONS.block("sh", "user").strip().splitlines()
    for command in before:
        operator.run(["sh", "-ec", command.replace("redis-cli", REDIS_CLI)])
    third = start(operator, line, "broker.ready")
    operator.run(["sh", "-c", "umask 077 && echo default:any >redis-admin.auth"])
    run_lines(operator, OPERATIONS.block("sh", "functions"))
    run_lines(operator, OPERATIONS.block("sh", "look"))
    run_lines(operator, OPERATIONS.block("sh", "purge"))
    assert '"durability":"always"' in operator.run(
        ["sh", "-c", "understudy-ctl status --json"]
    ).stdout.replace(" ", "")
    one.kill()
    operator.env["UNDERSTUDY_BROKER"] = "tcp://127.0.0.1:7421"
    assert submit(operator, "echo two") == "two\n"
    run_lines(operator, OPERATIONS.block("sh", "drain"))
    assert node.wait() == 0
    assert two.stop() == third.stop() == 0
    assert redis.stop() == 0


def test_operations_backup(operator):
    broker = start(operator, "understudy-broker", "broker.ready")
    job = ["understudy-ctl", "submit", "--shell", "echo kept"]
    kept = operator.run(job).stdout.strip()
    operator.run(["sh", "-ec", OPERATIONS.block("sh", "backup")])
    lost = operator.run(job).stdout.strip()
    assert broker.stop() == 0
    operator.run(["sh", "-ec", OPERATIONS.block("sh", "restore")])
    broker = start(operator, "understudy-broker", "broker.ready")
    assert "QUEUED" in operator.run(["understudy-ctl", "show", kept]).stdout
    again = operator.run(["understudy-ctl", "show", lost], check=False)
    assert again.returncode == 1
    assert broker.stop() == 0


def unit(name):
    """Its section [Service]; comments are whole lines."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(UNITS / name)
    return parser["Service"]


def start_unit(user, name, **env):
    """As systemd does: the command of the unit, and a socket that hears READY=1."""
    service = unit(name)
    words = shlex.split(service["ExecStart"].replace("%H", "here"))
    argv = [str(BIN / os.path.basename(words[0]))]
    argv += [re.sub(r"\$\{(\w+)\}", lambda match: env[match[1]], w) for w in words[1:]]
    argv = [word.replace("/etc/understudy", f"{user.directory}/etc") for word in argv]
    path = user.directory / f"{name}.notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.settimeout(60)
        user.env["NOTIFY_SOCKET"] = str(path)
        daemon = user.start(name, argv)
        assert b"READY=1" in heard.recv(4096)
    del user.env["NOTIFY_SOCKET"]
    return daemon


def test_the_units_start_and_stop(operator):
    folder = operator.directory

    def run_there(block):
        # One user plays all of them.
        lines = [line for line in block.splitlines() if "chown" not in line]
        run_lines(
            operator, "\n".join(lines).replace("/etc/understudy", f"{folder}/etc")
        )

    run_there(OPERATIONS.block("sh", "unit keys"))
    broker = start_unit(
        operator, "understudy-broker.service", STATE_DIRECTORY=str(folder / "state")
    )
    run_there(OPERATIONS.block("sh", "unit admit"))
    node = start_unit(
        operator, "understudy-node.service", CACHE_DIRECTORY=str(folder / "cache")
    )
    run_lines(operator, f"understudy-ctl keygen --dir {folder}/etc client alice")
    operator.env["UNDERSTUDY_KEY"] = f"{folder}/etc/alice.key"
    operator.env["UNDERSTUDY_CLUSTER"] = f"{folder}/etc/cluster.pub"
    operator.env["UNDERSTUDY_BROKER"] = "tcp://127.0.0.1:7420"
    assert submit(operator, "echo unit") == "unit\n"
    for daemon in (node, broker):
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_the_units_are_well_formed(directory):
    """With programs that are there; man pages are not installed where tests run."""
    for path in UNITS.iterdir():
        text = re.sub(r"^Documentation=.*\n", "", path.read_text(), flags=re.M)
        (directory / path.name).write_text(text.replace("/usr/local/bin", str(BIN)))
    units = list(directory.glob("*.service"))
    done = subprocess.run(
        # Of these units alone: other units of the machine are not ours to judge.
        ["systemd-analyze", "--recursive-errors=no", "verify", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_pages(page):
    done = subprocess.run(
        ["groff", "-mdoc", "-Tutf8", "-ww", "-z", page],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    ours = {(other.stem, other.suffix[1:]) for other in PAGES}
    named = re.findall(r"^\.Xr (\S*understudy\S*) (\d)", page.read_text(), re.M)
    assert named and set(named) <= ours


@pytest.mark.parametrize(
    "path",
    ["README.md", *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md")))],
)
def test_links_lead_somewhere(path):
    for target in Document(path).links():
        assert target.exists(), target
