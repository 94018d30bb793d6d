# SPDX-License-Identifier: MIT
"""The package as scripts/setup leaves it. `pip install ./client/python` is in
test_index.py."""

import subprocess

import pytest

from support import ROOT, clean_environment


def test_the_package_installs_without_an_index(directory):
    """scripts/setup's way: built by CMake, found through a .pth file."""
    env = clean_environment(directory, PATH="/usr/bin:/bin", PIP_NO_INDEX="1")
    python = ROOT / ".venv/bin/python"
    if not python.exists():
        pytest.fail("run scripts/setup first")
    show = "import understudy, understudy._core as c; print(c.__file__)"
    said = subprocess.check_output([python, "-c", show], env=env, text=True).strip()
    assert said == str(ROOT / "build/python/understudy/_core.abi3.so")
    symbols = subprocess.check_output(["nm", "-D", "--defined-only", said], text=True)
    exported = {line.split()[-1] for line in symbols.splitlines()}
    assert exported <= {
        "PyInit__core",
        "_init",
        "_fini",
        "_edata",
        "_end",
        "__bss_start",
    }
