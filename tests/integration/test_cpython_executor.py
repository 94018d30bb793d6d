# SPDX-License-Identifier: MIT
"""CPython's own tests of executors, as the interpreter's test package has them."""

import json
import re

import pytest

from support import PYTHON, ROOT

PROGRAM = ROOT / "tests/support/cpython_executor.py"

# A job that cannot load its arguments, or leaves by sys.exit(), fails alone.
ALONE = "breaks the whole pool there; here it ends one job with its own exception"
PROCESSES = "is about the processes of this machine: start methods, their number, reuse"
# name: why it cannot apply.
NOT_APPLICABLE = {
    r"ProcessPoolExecutorTest.test_idle_process_reuse.*": PROCESSES,
    r"ProcessPoolExecutorTest.test_killed_child": PROCESSES,
    r"ProcessPoolExecutorTest.test_max_tasks.*": PROCESSES,
    r"ProcessPoolExecutorTest.test_max_workers_too_large": PROCESSES,
    r"ProcessPoolExecutorTest.test_(force|terminate|kill)_.*": PROCESSES,
    r"ProcessPoolExecutorTest.test_process_fork_from_a_threaded_process": PROCESSES,
    r"ProcessPoolExecutorTest.test_python_finalization_error": PROCESSES,
    r"ProcessPoolExecutorTest.test_ressources_gced_in_workers": "needs a manager",
    r"ProcessPoolExecutorTest.test_saturation": "shares a semaphore with its jobs",
    r"ProcessPoolExecutorTest.test_traceback": "names a class of the process pool",
    r"ExecutorShutdownTest.test_hang_gh\d+": "names a class of concurrent.futures",
    r"ExecutorShutdownTest.test_(submit_after_)?interpreter_shutdown": "as above; see "
    "test_futures.py",
    r"ExecutorDeadlockTest.test_error_at_task_unpickle": ALONE,
    r"ExecutorDeadlockTest.test_exit_at_task_unpickle": ALONE,
    r"ExecutorDeadlockTest.test_exit_during_.*": ALONE,
    r"ExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": ALONE,
    r"ExecutorDeadlockTest.test_crash_big_data": PROCESSES,
    r"ExecutorDeadlockTest.test_gh105829_.*": "looks into the pool's own queues",
    r"ExecutorDeadlockTest.test_shutdown_deadlock_pickle": "joins a thread of the pool",
}


def applies(name):
    return not any(re.fullmatch(pattern, name) for pattern in NOT_APPLICABLE)


@pytest.mark.slow
def test_behaves_as_the_executors_of_the_standard_library(broker, node, client):
    broker()
    node(channel=["calculator"], slots=5)
    done = client().run([PYTHON, PROGRAM, "calculator"], check=False)
    if done.returncode == 77:
        pytest.skip(f"this Python has no test package: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    wrong = {
        name: what for name, what in outcomes.items() if what != "ok" and applies(name)
    }
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
    assert sum(what == "ok" for what in outcomes.values()) >= 30
    # The list is no longer than it must be.
    for pattern in NOT_APPLICABLE:
        named = [n for n in outcomes if re.fullmatch(pattern, n)]
        assert not named or any(outcomes[n] != "ok" for n in named), pattern
