# SPDX-License-Identifier: MIT
"""What needs the machine's package index: packages for jobs, and the build tools of
`pip install ./client/python`. One test, the only one that may skip."""

import shutil
import struct
import subprocess

import pytest

from support import PYTHON, ROOT, clean_environment

ZONES = """
from understudy.decorators import understudy


class TimeZoneTool:
    @understudy("calculator", packages=["pytz"], block=True)
    def eastern(self):
        from pytz import timezone

        return timezone("US/Eastern").zone


if __name__ == "__main__":
    print(TimeZoneTool().eastern())
"""

PACKAGED = """
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

PIP = ("python", "-m", "pip", "--disable-pip-version-check")


@pytest.fixture
def virtualenv(directory):
    """Environment variables of somebody who works in a virtualenv that has never heard
    of us; skips where the index is out of reach."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", directory / "venv"], check=True)
    env = clean_environment(directory, PATH=f"{directory}/venv/bin:/usr/bin:/bin")
    asked = [*PIP, "index", "versions", "--retries", "0", "--timeout", "10", "pytz"]
    if subprocess.run(asked, env=env, capture_output=True).returncode != 0:
        pytest.skip("the package index is not reachable from here")
    return env


def check_package(user):
    assert user.script(ZONES, name="zones.py") == "US/Eastern\n"


def check_picture(user):
    """docs/examples/mandelbrot.py: a PNG of the asked size, of more than one colour."""
    example = ROOT / "docs/examples/mandelbrot.py"
    user.run(
        [PYTHON, example, "m.png", "--width", "90", "--height", "60", "--tiles", "4"],
        timeout=240,
    )
    data = (user.directory / "m.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (90, 60)
    assert len(data) > 500


LIBRARIES = """
import http.server
import sys
import threading

import libraries
from understudy import Executor


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
packages = ["pandas", "matplotlib", "tqdm", "requests"]
with Executor("calculator", packages=packages) as pool:
    print(len({pool.submit(libraries.use, server.server_port).result(240)
               for _ in range(10)}))
"""
USE = """
import os

kept = []


def use(port):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import pandas
    import requests
    import tqdm

    kept[:] = kept or [requests.Session()]
    assert kept[0].get(f"http://127.0.0.1:{port}/").text == "ok"
    table = pandas.DataFrame({"a": [n for n in tqdm.tqdm(range(10))]})
    figure = plt.figure()
    table.plot(ax=figure.gca())
    plt.close(figure)
    return os.getpid()
"""


def check_one_worker(user):
    """No worker retires because of an import, tqdm's thread or a kept connection."""
    user.write("libraries.py", USE)
    assert user.script(LIBRARIES, name="workers.py", timeout=300) == "1\n"


THROUGH = """
import os

from understudy import Executor


def same(obj):
    return obj


def pytest_collection_modifyitems(items):
    executor = Executor("calculator", broker=os.environ["THROUGH"])

    def through(obj, protocol=None):
        return executor.submit(same, obj).result(60)

    items[0].module.pickle_depickle = through
"""
# Of cloudpickle's own tests those that pass there and not through a job, and why.
NAMED = "a function by name does without cloudpickle, so its result does, too"
NOT_THROUGH = {
    "test_builtin_staticmethod": NAMED,
    "test_getset_descriptor": NAMED,
    "test_dynamic_module": "a module without a file in sys.modules is no package",
}


def outcomes_of_suite(env, folder, *options):
    done = subprocess.run(
        ["python", "-m", "pytest", "-q", "-rA", "--tb=no", *options]
        + ["tests/cloudpickle_test.py", "-k", "CloudPickleTest and not Protocol2"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    lines = (line.split() for line in done.stdout.splitlines())
    return {line[1].split("::")[-1]: line[0] for line in lines if "::" in str(line)}


def check_cloudpickle(env, folder, endpoint):
    """cloudpickle's own tests, with a job where they pickle and load."""
    version = "2.2.0"  # whose source still needs nothing to be looked at
    wanted = [f"cloudpickle=={version}", "psutil", "pytest"]
    subprocess.run([*PIP, "install", "-q", *wanted], env=env, check=True)
    source = [*PIP, "download", "-q", "--no-deps", "--no-binary", ":all:", wanted[0]]
    subprocess.run([*source, "-d", folder], env=env, check=True)
    suite = folder / f"cloudpickle-{version}"
    subprocess.run(["tar", "xzf", f"{suite}.tar.gz", "-C", folder], check=True)
    shutil.rmtree(suite / "cloudpickle")  # the installed one is meant
    (suite / "through.py").write_text(THROUGH)
    places = [ROOT / "build/python", suite, suite / "tests/cloudpickle_testpkg"]
    env = {**env, "PYTHONPATH": ":".join(map(str, places)), "THROUGH": endpoint}
    there = outcomes_of_suite(env, suite)
    here = outcomes_of_suite(env, suite, "-p", "through")
    passed = {name for name, outcome in there.items() if outcome == "PASSED"}
    failed = {name for name in passed if here[name] != "PASSED"}
    assert len(passed) > 100 and failed == set(NOT_THROUGH)


ARRAYS = """
import numpy as np
from understudy import Executor


def scaled(array, by):
    array *= by  # in the worker's own copy of the memory
    return array


one = np.arange(500_000.0).reshape(500, 1000)
with Executor("calculator", packages=["numpy"]) as pool:
    two = pool.submit(scaled, one, 2).result(240)
    two[0, 0] = 7
    flags = two.flags
    print((two[1:] == one[1:] * 2).all(), one[0, 1], flags.owndata, flags.writeable)
    turned = pool.submit(scaled, one.T, 3).result(240)
    print((turned == one.T * 3).all(), turned.flags.f_contiguous)
"""


def check_arrays(env, folder, endpoint):
    """An array lies in the memory that came, and may be written to."""
    subprocess.run([*PIP, "install", "-q", "numpy"], env=env, check=True)
    (folder / "arrays.py").write_text(ARRAYS)
    places = f"{ROOT / 'build/python'}:/usr/lib/python3/dist-packages"
    env = {**env, "PYTHONPATH": places, "UNDERSTUDY_BROKER": endpoint}
    said = subprocess.run(
        ["python", "arrays.py"], cwd=folder, env=env, capture_output=True, text=True
    )
    assert said.stdout == "True 1.0 False True\nTrue True\n", said.stderr


def check_pip_install(env, folder, endpoint):
    done = subprocess.run(
        [*PIP, "install", "-q", ROOT / "client/python"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (ROOT / "client/python/build").exists()
    for name in ("broker", "node", "ctl"):
        program = folder / f"venv/bin/understudy-{name}"
        said = subprocess.check_output([program, "--version"], env=env, text=True)
        assert "0." in said
    script = folder / "job.py"
    script.write_text(PACKAGED)
    done = subprocess.run(
        ["python", script, endpoint], env=env, capture_output=True, text=True
    )
    assert done.stdout == "1024\n", done.stderr


@pytest.mark.slow
@pytest.mark.index
def test_with_the_real_index(virtualenv, directory, broker, node, client):
    endpoint = broker().endpoint
    node(channel=["default", "calculator"])
    user = client()
    check_package(user)
    check_picture(user)
    check_one_worker(user)
    check_arrays(virtualenv, directory, endpoint)
    check_cloudpickle(virtualenv, directory, endpoint)
    check_pip_install(virtualenv, directory, endpoint)
