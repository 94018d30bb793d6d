# SPDX-License-Identifier: MIT
"""`pip install ./client/python` into a virtualenv that has never heard of us."""

import subprocess

import pytest

from support import ROOT, clean_environment

JOB = """
import sys
import threading
import understudy
from understudy import Executor, Understudy, _core

assert understudy.__version__ == _core.version()
listener = Understudy("packaged", broker=sys.argv[1])
thread = threading.Thread(target=listener.start)
thread.start()
try:
    with Executor("packaged", broker=sys.argv[1]) as executor:
        print(executor.submit(pow, 2, 10).result(timeout=60))
finally:
    listener.stop()
    thread.join()
"""


def in_environment(folder):
    """A virtualenv and the environment variables of somebody who works in it. pip's own
    settings are kept: they say where the machine's index is."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", folder / "venv"], check=True)
    return clean_environment(folder, PATH=f"{folder}/venv/bin:/usr/bin:/bin")


def index_is_reachable(env, folder):
    argv = ["python", "-m", "pip", "download", "-q", "--no-deps", "--retries", "0"]
    argv += ["--timeout", "10", "-d", folder / "try", "scikit-build-core"]
    return subprocess.run(argv, env=env, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.index
def test_pip_install(stage, directory):
    env = in_environment(directory)
    if not index_is_reachable(env, directory):
        pytest.skip("no package index within reach: scikit-build-core comes from there")
    pip = ["python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, ROOT / "client/python"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (ROOT / "client/python/build").exists()
    for name in ("broker", "node", "ctl"):
        program = directory / f"venv/bin/understudy-{name}"
        said = subprocess.check_output([program, "--version"], env=env, text=True)
        assert "0." in said
    script = directory / "job.py"
    script.write_text(JOB)
    broker = stage.broker()
    done = subprocess.run(
        ["python", script, broker.endpoint], env=env, capture_output=True, text=True
    )
    assert done.stdout == "1024\n", done.stderr


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
