# SPDX-License-Identifier: MIT
"""scripts/setup on a machine that only seems to be there: what asks or changes the
system is a program that notes how it was called."""

import shutil
import subprocess

import pytest

from support import clean_environment
from support.paths import ROOT

DISABLED = "/usr/sbin/update-rc.d redis-server disable"


class Machine:
    def __init__(self, directory):
        self.directory = directory
        self.calls = directory / "calls"
        self.programs = directory / "programs"
        self.programs.mkdir()
        shutil.copytree(ROOT / "scripts", directory / "tree/scripts")
        (directory / "tree/build").mkdir()
        (directory / "tree/build/no-index").touch()
        self.add("id", "echo 1000")
        self.add("sudo", f'echo "$*" >>{self.calls}')
        self.add("cmake", "")
        self.add("ninja", "")

    def add(self, name, body):
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def lacks(self, package):
        say = f"case \"$*\" in *' {package}') ;; *) echo installed ;; esac"
        self.add("dpkg-query", say)

    def setup(self):
        """What it would have changed, in order."""
        self.calls.write_text("")
        env = clean_environment(self.directory)
        env["PATH"] = f"{self.programs}:/usr/bin:/bin"
        script = self.directory / "tree/scripts/setup"
        subprocess.run([script], env=env, check=True, timeout=60)
        return self.calls.read_text().splitlines()


@pytest.fixture
def machine(directory):
    return Machine(directory)


def test_setup_leaves_no_service_for_the_next_boot(machine):
    machine.lacks("redis-server")
    calls = machine.setup()
    assert any(call.endswith("redis-server") for call in calls)
    assert calls[-1] == DISABLED


def test_setup_leaves_the_service_of_others_alone(machine):
    machine.lacks("cmake")
    calls = machine.setup()
    assert any(call.endswith(" cmake") for call in calls)
    assert DISABLED not in calls
