# SPDX-License-Identifier: MIT
"""joblib with scikit-learn, scipy, dask, trio, anyio and gevent, as the index of this
machine has them. Skips where that is out of reach."""

import subprocess

import pytest

from support import clean_environment

LIBRARIES = (
    *("cloudpickle", "joblib", "scikit-learn", "scipy", "dask"),
    *("anyio", "trio", "gevent"),
)

SKLEARN = """
from importlib.metadata import version

import joblib
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

import understudy.joblib

X, y = make_classification(200, random_state=0)


def scores():
    model = LogisticRegression()
    search = GridSearchCV(model, {"C": [0.1, 1, 10]}, cv=3).fit(X, y)
    means = search.cv_results_["mean_test_score"]
    return [*cross_val_score(model, X, y, cv=4), *means], search.best_params_


def nested(n):
    return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-i) for i in range(n)))


here = scores()
packages = [f"{name}=={version(name)}" for name in ("scikit-learn", "joblib", "numpy")]
with joblib.parallel_config("understudy", channel="calculator", packages=packages):
    print(scores() == here)
    parallel, call = joblib.Parallel(), joblib.delayed
    print(parallel(call(pow)(2, n) for n in range(5)))
    lazy = joblib.Parallel(return_as="generator")
    print(list(lazy(call(pow)(3, n) for n in range(4))))
    print(joblib.Parallel(n_jobs=4)(call(nested)(n) for n in range(4)))
    try:
        parallel(call(divmod)(1, n) for n in (1, 0, 2))
    except ZeroDivisionError as error:
        print(type(error.__cause__).__name__)
"""

SCHEDULERS = """
from importlib.metadata import version

import dask
from scipy.optimize import differential_evolution, rosen

from understudy import Executor


def least(**how):
    return differential_evolution(
        rosen, [(0, 2)] * 2, seed=1, maxiter=2, updating="deferred", **how
    ).fun


packages = [f"{name}=={version(name)}" for name in ("scipy", "numpy", "dask")]
with Executor("calculator", packages=packages) as pool:
    print(least(workers=pool.map) == least())
    one_more, total = dask.delayed(lambda n: n + 1), dask.delayed(sum)
    print(total([one_more(n) for n in range(5)]).compute(scheduler=pool))
"""

LOOPS = """
import anyio
import anyio.to_thread
import trio

from understudy.decorators import understudy


@understudy("calculator")
def double(n):
    return 2 * n


async def with_trio():
    result = await trio.to_thread.run_sync(double, 1)
    print(await trio.to_thread.run_sync(result.get))


async def with_anyio():
    result = await anyio.to_thread.run_sync(double, 2)
    print(await anyio.to_thread.run_sync(result.get, abandon_on_cancel=True))


trio.run(with_trio)
anyio.run(with_anyio)
"""

GREENLETS = """
from gevent import monkey

monkey.patch_all()

import time

import gevent

from understudy import Executor
from understudy.decorators import understudy
from understudy.exceptions import JobCancelled


@understudy("calculator")
def sleep(seconds):
    import time

    time.sleep(seconds)
    print("slept")
    return seconds


gaps, told = [], []


def tick():
    last = time.monotonic()
    while True:
        gevent.sleep(0.01)
        gaps.append(time.monotonic() - last)
        last += gaps[-1]


gevent.spawn(tick)
result = sleep(1)
result.add_done_callback(told.append)
print(result.get(timeout=60), told == [result])
asked = [gevent.spawn(lambda: sleep(0.1).get(timeout=60)) for _ in range(30)]
print({greenlet.get() for greenlet in asked})
print(list(sleep(0.1).stream_log()))
result = sleep(60)
print(result.accepted(30), result.interrupt())
try:
    result.get(timeout=60)
except JobCancelled:
    print("JobCancelled")
with Executor("calculator", max_workers=2) as pool:
    print(list(pool.map(abs, range(5))), sorted(pool.map_unordered(abs, range(3))))
print(len(gaps) > 50, max(gaps) < 0.9)
"""


@pytest.fixture
def python(directory):
    """An interpreter that has these libraries."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", directory / "venv"], check=True)
    python = directory / "venv/bin/python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    asked = [*pip, "--retries", "0", "--timeout", "10", *LIBRARIES]
    env = clean_environment(directory)
    done = subprocess.run(asked, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not to be had from here: {', '.join(LIBRARIES)}")
    return python


@pytest.mark.slow
@pytest.mark.index
def test_with_other_libraries(python, broker, node, client):
    broker()
    node(channel=["calculator"])
    user = client()

    def run(text):
        return user.run([python, user.write("script.py", text)]).stdout.splitlines()

    assert run(SKLEARN) == [
        "True",
        "[1, 2, 4, 8, 16]",
        "[1, 3, 9, 27]",
        "[0, 0, 1, 3]",
        "RemoteTraceback",
    ]
    assert run(SCHEDULERS) == ["True", "15"]
    assert run(LOOPS) == ["2", "4"]
    assert run(GREENLETS) == [
        "1 True",
        "{0.1}",
        "['slept']",
        "True True",
        "JobCancelled",
        "[0, 1, 2, 3, 4] [0, 1, 2]",
        "True True",
    ]
