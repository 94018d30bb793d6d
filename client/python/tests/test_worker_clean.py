# SPDX-License-Identifier: MIT
"""A job finds a clean process: what the jobs before it in the same worker did to the
process is put back, what they did to modules stays."""

from worker_harness import (
    REPLACE_ME,
    SUCCEEDED,
    bundle_call,
    echo,
    is_idle,
    run_tests,
    until,
    worker,
)

from understudy import _envelope

# What one job does; the next must find everything as it was before.
DEEDS = """
import os, sys; sys.stdout = os.fdopen(sys.stdout.fileno(), "w", buffering=1)
import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer); print("x")
import io, sys; sys.stderr = io.TextIOWrapper(sys.stderr.buffer, "latin-1")
import sys; sys.stdout.reconfigure(encoding="utf-16")
import sys; sys.stderr.reconfigure(line_buffering=False, errors="strict")
import logging.config; logging.config.dictConfig({"version": 1})
import logging; logging.getLogger("known").disabled = True
import logging; logging.getLogger("known").propagate = False
import logging; logging.getLogger("known").setLevel("CRITICAL")
import logging; logging.getLogger("known").addFilter(lambda record: False)
import logging; logging.getLogger("known").addHandler(logging.StreamHandler())
import logging; logging.getLogger("new").propagate = False
import logging; logging.getLogger().handlers[0].setFormatter(logging.Formatter("!"))
import logging; logging.getLogger().handlers[0].addFilter(lambda record: False)
import logging; logging.getLogger().setLevel("ERROR"); logging.disable(50)
import warnings; warnings.simplefilter("ignore")
import warnings; warnings.warn("again")
import warnings; warnings.showwarning = print
import sys; sys.path.insert(0, "/nowhere")
import sys; sys.path = []
import sys; del sys.path[:]
import sys; sys.argv[:] = ["other"]
import sys; sys.argv = ["other"]
import sys; sys.excepthook = sys.displayhook = print
import sys; sys.settrace(lambda *a: None)
import threading; threading.excepthook = print
import decimal; decimal.getcontext().prec = 5
import decimal; decimal.setcontext(decimal.Context(prec=4, rounding="ROUND_UP"))
import sys; sys.setrecursionlimit(3000)
import socket; socket.setdefaulttimeout(1.5)
import gc; gc.disable(); gc.set_threshold(1)
import builtins; builtins.print = len; builtins.more = 1
import builtins; del builtins.ascii
import os; os.umask(0)
import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (99, r.getrlimit(7)[1]))
import resource as r; r.setrlimit(r.RLIMIT_STACK, (1 << 20, r.getrlimit(3)[1]))
import signal; signal.signal(signal.SIGUSR2, signal.SIG_IGN)
import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
import signal; signal.setitimer(signal.ITIMER_PROF, 1000)
import locale; locale.setlocale(locale.LC_ALL, "C")
import os, time; os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
import os; os.environ["NEW"] = "1"; os.chdir("/")
import os; os.environ = {}
import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import random; random.seed(7)
import sys; sys.stdout.reconfigure(newline="\\r\\n")
import threading; threading.settrace(print); threading.setprofile(print)
import tracemalloc; tracemalloc.start()
import gc; gc.callbacks.append(print)
import asyncio; asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
import os, signal; signal.set_wakeup_fd(os.open('/dev/zero', os.O_NONBLOCK))
import sys; sys.setswitchinterval(1)
import faulthandler; faulthandler.disable()
import sys; sys.breakpointhook = sys.unraisablehook = print
"""

CHECK = """
import asyncio, builtins, decimal, faulthandler, gc, locale, logging, os, random
import resource, signal, socket, sys, threading, time, tracemalloc, warnings

known = logging.getLogger("known")
numbers = []

def warn():
    warnings.warn("again")

def f():
    with open(os.devnull, "w"):  # gets the lowest descriptor that is free
        print("out \\u00e4")
        print("err \\u00e4", file=sys.stderr)
    known.info("known")
    logging.getLogger("new").info("new")
    logging.info("root")
    warn()
    numbers.append(random.random())
    context = decimal.getcontext()
    return repr([
        os.getcwd(), sorted(os.environ.items()), list(sys.path), sys.argv,
        [s.encoding for s in (sys.stdout, sys.stderr)], sys.stderr.errors,
        sys.excepthook, sys.displayhook, threading.excepthook, sys.gettrace(),
        sys.breakpointhook, sys.unraisablehook, threading._trace_hook,
        threading._profile_hook, tracemalloc.is_tracing(), gc.callbacks,
        type(asyncio.events._event_loop_policy), sys.getswitchinterval(),
        signal.set_wakeup_fd(-1), faulthandler.is_enabled(),
        context.prec, context.rounding, sys.getrecursionlimit(),
        socket.getdefaulttimeout(), gc.isenabled(), gc.get_threshold(),
        sorted(vars(builtins)), print, warnings.filters, os.umask(0o22),
        [resource.getrlimit(limit) for limit in range(16)],
        signal.getsignal(signal.SIGUSR2), signal.pthread_sigmask(signal.SIG_BLOCK, []),
        signal.getitimer(signal.ITIMER_PROF)[0], locale.setlocale(locale.LC_ALL),
        time.tzname, os.sched_getaffinity(0), numbers.count(numbers[-1]),
    ])

def deed(text):
    exec(text, {"__name__": "deed"})
"""


def check(forked, digest):
    outcome, flags, _, body, log = forked.run(bundle_call(digest, "checks:f"))
    assert outcome == SUCCEEDED, _envelope.Failure.decode(body).traceback
    assert flags == 0
    until(lambda: is_idle(forked.pid), "the comparisons that are slow")
    return _envelope.decode_value(body), log


def test_what_jobs_do_to_the_process_is_put_back():
    with worker({"checks.py": CHECK}) as (forked, digest):
        before = check(forked, digest)
        assert b"again" in before[1] and b"known\nnew\nroot\n" in before[1]
        for text in DEEDS.strip().split("\n"):
            for _ in range(2):
                forked.run(bundle_call(digest, "checks:deed", text))
                until(lambda: is_idle(forked.pid), "the comparisons that are slow")
                assert check(forked, digest) == before, text


def test_what_modules_set_when_they_are_loaded_stays():
    module = """
import decimal, io, logging, os, sys, warnings
sys.setrecursionlimit(4321)
logging.getLogger().setLevel(logging.DEBUG)
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "latin-1", line_buffering=True)
warnings.simplefilter("ignore")
os.environ["SET"] = "by the module"
decimal.getcontext().prec = 9
calls = []
def f():
    logging.debug("debug \\u00e4")
    print("\\u00e4")
    warnings.warn("not shown")
    calls.append(1)
    return [sys.getrecursionlimit(), os.environ["SET"], decimal.getcontext().prec,
            len(calls)]
"""
    with worker({"setting.py": module}) as (forked, digest):
        for count in range(1, 4):
            _, flags, _, body, log = forked.run(bundle_call(digest, "setting:f"))
            value = _envelope.decode_value(body)
            assert value == [4321, "by the module", 9, count]
            assert log == "debug ä\n".encode() + "ä\n".encode("latin-1") and flags == 0


def test_what_an_import_sets_in_a_job_stays():
    module = """
import logging, os, sys, warnings
logging.getLogger("lazy").setLevel(logging.DEBUG)
warnings.filterwarnings("ignore", "lazily")
os.environ["LAZY"] = "1"
sys.meta_path.append(type("Finder", (), {"find_spec": lambda *a: None}))
"""
    source = """
import logging, os, sys, warnings
def f():
    import lazy
    warnings.warn("lazily")
    logging.getLogger("lazy").debug("said")
    return [os.environ["LAZY"], sys.meta_path[-1].__name__]
"""
    files = {"lazy.py": module, "user.py": source}
    with worker(files) as (forked, digest):
        for _ in range(3):
            _, flags, _, body, log = forked.run(bundle_call(digest, "user:f"))
            assert _envelope.decode_value(body) == ["1", "Finder"]
            assert (flags, log) == (0, b"said\n")


def test_what_cannot_be_put_back_retires_the_worker():
    for text in (
        "import multiprocessing as m; m.set_start_method('spawn')",
        "import threading, time\n"
        "    def mine(): time.sleep(1000)\n"
        "    threading.Thread(target=mine, daemon=True).start()",
        "import threading; threading.Timer(1000, lambda: 0).start()",
        "import concurrent.futures as c\n"
        "    global pool; pool = c.ThreadPoolExecutor()\n"
        "    pool.submit(lambda: __import__('time').sleep(1000))",
    ):
        with worker() as (forked, _):
            assert forked.run(echo(f"def f():\n    {text}\n"))[1] == REPLACE_ME, text


def test_connections_and_threads_of_packages_stay():
    source = """
import concurrent.futures, socket
kept = []
pool = concurrent.futures.ThreadPoolExecutor()
def f():
    kept.extend(socket.socketpair())
    return pool.submit(pow, 2, 3).result()
"""
    with worker() as (forked, _):
        for _ in range(20):
            outcome, flags, _, _, _ = forked.run(echo(source))
            assert (outcome, flags) == (SUCCEEDED, 0)


LATE = {
    "descriptors": "import os\n    for _ in range(70): os.dup(0)",
    "hard limit": "import resource\n    resource.setrlimit(3, (1 << 23,) * 2)",
}


def test_what_is_found_late_gives_the_queued_jobs_back():
    for what, text in LATE.items():
        with worker() as (forked, _):
            outcome, flags, _, _, _ = forked.run(echo(f"def f():\n    {text}\n"))
            assert (outcome, flags) == (SUCCEEDED, 0), what
            assert forked.socket.recv(100)[:1] == b"L", what
            forked.send_job(echo("def f(): pass"))  # it is not begun
            forked.socket.send(b"Q")
            assert forked.wait_end() == 0, what


if __name__ == "__main__":
    run_tests(globals())
