# SPDX-License-Identifier: MIT
"""scripts/setup on a machine that only seems to be there: what asks or changes the
system is a program that notes how it was called. And scripts/bench, really."""

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import clean_environment
from support.paths import ROOT

DISABLED = "/usr/sbin/update-rc.d {} disable"
SERVERS = ("redis-server", "valkey-server")


class Machine:
    def __init__(self, directory):
        self.directory = directory
        self.calls = directory / "calls"
        self.programs = directory / "programs"
        self.programs.mkdir()
        for path in Path("/usr/bin").iterdir():
            (self.programs / path.name).symlink_to(path)
        shutil.copytree(ROOT / "scripts", directory / "tree/scripts")
        (directory / "tree/build").mkdir()
        (directory / "tree/build/no-index").touch()
        self.add("id", "echo 1000")
        self.add("sudo", f'echo "$*" >>{self.calls}')
        self.add("cmake", "")
        self.add("ninja", "")

    def add(self, name, body):
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def lacks(self, *packages):
        names = "|".join(f"*' {package}'" for package in packages)
        self.add("dpkg-query", f'case "$*" in {names}) ;; *) echo installed ;; esac')

    def offers(self, *packages):
        """What apt could install."""
        names = "|".join(f"*' {package}'" for package in packages)
        self.add("apt-cache", f'case "$*" in {names}) ;; *) exit 100 ;; esac')

    def run(self, *command):
        env = clean_environment(self.directory, PATH=str(self.programs))
        script = self.directory / "tree/scripts" / command[0]
        return subprocess.run(
            [script, *command[1:]], env=env, text=True, capture_output=True, timeout=300
        )

    def setup(self):
        """What it would have changed, in order."""
        self.calls.write_text("")
        done = self.run("setup")
        assert done.returncode == 0, done.stderr
        return self.calls.read_text().splitlines()


@pytest.fixture
def machine(directory):
    return Machine(directory)


@pytest.mark.parametrize("server", SERVERS)
def test_setup_leaves_no_service_for_the_next_boot(server, machine):
    machine.lacks(*SERVERS)
    machine.offers(server)
    calls = machine.setup()
    assert any(call.endswith(f" {server}") for call in calls)
    assert calls[-1] == DISABLED.format(server)


@pytest.mark.parametrize("server", SERVERS)
def test_setup_takes_the_server_that_is_there(server, machine):
    machine.lacks(*(other for other in SERVERS if other != server))
    machine.offers(*SERVERS)
    assert machine.setup() == []


def test_setup_leaves_the_service_of_others_alone(machine):
    machine.lacks("cmake")
    calls = machine.setup()
    assert any(call.endswith(" cmake") for call in calls)
    assert not any("update-rc.d" in call for call in calls)


def test_setup_says_what_it_cannot_install(machine):
    machine.lacks("cmake")
    (machine.programs / "sudo").unlink()
    done = machine.run("setup")
    assert done.returncode == 1
    assert "not root" in done.stderr
    assert done.stderr.endswith("apt-get install --no-install-recommends cmake\n")


def test_setup_in_a_folder_of_any_name(directory):
    """Python 3.12 and older read .pth files in the encoding of the locale, and one that
    the machine does not know means ASCII."""
    folder = directory / "mit Leerzeichen, größer"
    folder.mkdir()
    machine = Machine(folder)
    machine.lacks("nothing")
    machine.setup()
    package = folder / "tree/build/python"
    package.mkdir()
    python = folder / "tree/.venv/bin/python"
    done = subprocess.run(
        [python, "-c", "import sys; print(*map(ascii, sys.path), sep='\\n')"],
        env=clean_environment(directory, LC_ALL="xx_XX"),
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    names = [os.fsencode(ast.literal_eval(line)) for line in done.stdout.splitlines()]
    assert os.fsencode(package) in names


@pytest.mark.parametrize("script", ["setup", "demo", "test", "check"])
def test_help_only_helps(script, machine):
    done = machine.run(script, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: scripts/{script}")
    assert not (machine.directory / "tree/.venv").exists()


def test_a_second_configuration_compiles_nothing_anew(directory):
    commands = directory / "compile_commands.json"
    configure = ["cmake", "-G", "Ninja", "-S", ROOT, "-B", directory]
    seen = []
    for _ in range(2):
        subprocess.run(configure, check=True, capture_output=True)
        seen.append(commands.read_text())
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("program", "body", "why"),
    [
        ("id", "echo 1000", "needs root"),
        ("unshare", "exit 1", "may not make namespaces"),
        ("wget", "exit 4", "none of apt's sources within reach has"),
    ],
)
def test_the_bare_part_says_why_it_cannot_run(program, body, why, machine):
    machine.add("id", "echo 0")
    machine.add("unshare", "")
    machine.add(program, body)
    env = clean_environment(machine.directory, PATH=str(machine.programs))
    bare = [ROOT / "tests/support/bare.sh"]
    done = subprocess.run(bare, env=env, text=True, capture_output=True, timeout=60)
    assert done.returncode == 77
    assert why in done.stderr


def bench(directory, *options, **variables):
    script = ROOT / "scripts/bench"
    env = clean_environment(directory, **variables)
    done = subprocess.run(
        [script, *options], env=env, text=True, capture_output=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_of_bench_sets_nothing_up(directory, machine):
    machine.add("cmake", "exit 1")
    told = bench(directory, "--help", PATH=str(machine.programs))
    assert told.startswith("usage: scripts/bench")


@pytest.mark.slow
def test_bench(directory):
    # Of fewer jobs the bytes would be lost among those that Redis needs for itself.
    small = ["--rounds", "1", "--jobs", "500", "--round-trips", "100"]
    medians = json.loads(bench(directory, "--json", *small))
    assert set(medians) == {"understudy", "ProcessPoolExecutor", "machine"}
    assert all(value > 0 for part in medians.values() for value in part.values())


@pytest.mark.slow
def test_bench_of_transports(directory):
    small = ["--rounds", "1", "--jobs", "100", "--round-trips", "50", "--transports"]
    medians = json.loads(bench(directory, "--json", *small))
    assert set(medians) == {"tcp", "keys", "socket", "machine"}
    assert all(value > 0 for part in medians.values() for value in part.values())


@pytest.mark.slow
def test_bench_of_two_builds_in_turn(directory):
    small = ["--rounds", "1", "--jobs", "100", "--round-trips", "50"]
    figures = json.loads(bench(directory, "--json", "--against", str(ROOT), *small))
    assert {"p50_us", "submit_per_s", "queued_bytes_over_body"} <= set(figures)
    for sides in figures.values():
        assert {side: len(rounds) for side, rounds in sides.items()} == {
            "before": 2,
            "after": 2,
        }
