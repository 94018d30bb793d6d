# SPDX-License-Identifier: MIT
"""What a job does to its worker, and the daemon to the job: its log, what it leaves
behind, interrupts, shell commands."""

import os
import signal

from worker_harness import (
    CANCELLED,
    CHILDREN_LEFT,
    FAILED,
    INLINE,
    REPLACE_ME,
    SUCCEEDED,
    echo,
    is_alive,
    is_idle,
    run_tests,
    source_call,
    until,
    worker,
    zygote,
)

from understudy import _envelope, exceptions

# --- The log --------------------------------------------------------------------------


def test_log_in_order():
    source = """
import logging, os, subprocess, sys
def f():
    print("one")
    print("two", file=sys.stderr)
    logging.info("three")
    logging.debug("not this")
    logging.getLogger("some.where").warning("four %d", 4)
    os.write(1, b"five\\n")
    subprocess.run(["echo", "six"])
    sys.stdout.write("no newline at the end")
"""
    with worker() as (forked, _):
        expected = b"one\ntwo\nthree\nfour 4\nfive\nsix\nno newline at the end"
        for _ in range(2):
            outcome, flags, _, _, log = forked.run(echo(source))
            assert (outcome, flags, log) == (SUCCEEDED, 0, expected)


def test_output_of_c_code():
    source = """
import ctypes
def f():
    ctypes.CDLL(None).printf(b"from C")
"""
    with worker() as (forked, _):
        assert forked.run(echo(source))[4] == b"from C"


HOSTILE_OUTPUT = {
    "import os, sys\nos.close(1); os.close(2); print('lost?')": b"lost?\n",
    "import sys\nsys.stdout.close(); sys.stderr.close()": b"",
    "import sys\nprint('a', end=''); sys.stdout = sys.stderr = None": b"a",
    "import sys\nsys.stdout.detach(); sys.stderr.detach()": b"",
    "import io, sys\nsys.stdout = io.StringIO(); print('swallowed')": b"",
    "import os\nos.dup2(os.open('/dev/null', 1), 1); print('x', flush=True)": b"",
    "import os\nos.set_blocking(1, False); print('x' * 300000)": b"x" * 300000 + b"\n",
    "import sys\nsys.stdout.buffer.write(bytes(range(256)))": bytes(range(256)),
    "import sys\nclass Bad:\n  def flush(self): 1 / 0\nsys.stdout = Bad()": b"",
    "import logging\nlogging.basicConfig(force=True)\nlogging.disable(50)": b"",
    "import logging\nlogging.getLogger().handlers.clear()": b"",
    "import os, signal\n"
    "os.chdir('/'); os.environ['NEW'] = '1'; del os.environ['HOME']\n"
    "signal.signal(signal.SIGUSR1, signal.SIG_IGN); signal.alarm(1000)": b"",
}

CHECK = """
import logging, os, signal, sys
def f():
    print("out")
    print("err", file=sys.stderr)
    logging.info("log")
    return [os.getcwd(), sorted(os.environ), signal.getitimer(signal.ITIMER_REAL)[0]]
"""


def test_what_jobs_do_to_the_worker_is_undone():
    with worker() as (forked, _):
        before = forked.value(echo(CHECK))
        for text, expected in HOSTILE_OUTPUT.items():
            lines = [f"    {line}\n" for line in text.split("\n")]
            seq = forked.send_job(echo("def f():\n" + "".join(lines)))
            log = forked.read_log(seq)
            forked.pending = b""
            data = forked.socket.recv(INLINE)
            if "set_blocking" not in text:
                assert log == expected, text
            assert data[5] in (SUCCEEDED, FAILED) and data[6] == 0, (text, data)
            until(lambda: is_idle(forked.pid), "the comparisons that are slow")
            outcome, flags, _, body, log = forked.run(echo(CHECK))
            assert (outcome, flags, log) == (SUCCEEDED, 0, b"out\nerr\nlog\n"), text
            assert _envelope.decode_value(body) == before, text


def test_much_output_without_newline():
    size = 64 * 1024 * 1024
    source = f"import sys\ndef f():\n    sys.stdout.write('x' * {size})\n"
    with worker() as (forked, _):
        forked.send_job(echo(source))
        count = 0
        while count < size:
            chunk = forked.read_some()
            assert chunk
            count += len(chunk)
            forked.pending = chunk[len(chunk) - max(0, count - size) :]
        assert forked.result()[4] == b""


# --- Ends, children, threads ----------------------------------------------------------


def test_death():
    with zygote() as running:
        for text, status in (
            ("os._exit(0)", 0),
            ("os._exit(7)", 7),
            ("os.kill(os.getpid(), 9)", -9),
            ("os.abort()", -signal.SIGABRT),
            ("ctypes.string_at(0)", -signal.SIGSEGV),
        ):
            forked = running.fork()
            forked.send_job(echo(f"import ctypes, os\ndef f():\n    {text}\n"))
            assert forked.wait_end() == status, text
            forked.close()


def test_descriptors_that_a_job_closes_or_writes_to():
    with zygote() as running:
        forked = running.fork()
        forked.send_job(echo("import os\ndef f(): os.closerange(3, 65536)\n"))
        assert forked.wait_end() == 70
        forked.close()
        forked = running.fork()
        source = """
import os
def f():
    done = []
    for fd in range(3, 256):
        try:
            os.write(fd, b"junk")
            done.append(fd)
        except OSError:
            pass
    return done
"""
        assert forked.value(echo(source)) == []
        forked.close()


def test_daemon_closes_the_log():
    with worker() as (forked, _):
        os.close(forked.log)
        forked.log = os.open(os.devnull, os.O_RDONLY)
        forked.send_job(echo("def f(): pass"))
        assert forked.wait_end() == 70


def test_children_left():
    run = "import os, subprocess\ndef f():\n    {}\n"
    for left in (
        "subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL)",
        "os.system('sleep 1000 >/dev/null 2>&1 &')",
    ):
        with worker() as (forked, _):  # of its own: the other's is left already
            outcome, flags, _, _, _ = forked.run(echo(run.format(left)))
            assert (outcome, flags) == (SUCCEEDED, CHILDREN_LEFT), left


def test_children_that_have_ended_are_not_left():
    source = """
import os, subprocess
def f():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
"""
    with worker() as (forked, _):
        assert forked.run(echo(source))[1] == 0


def test_forked_child_does_not_go_on_as_worker():
    source = """
import os, sys
def f(how):
    pid = os.fork()
    if pid == 0:
        if how == "return":
            return "child"
        if how == "exit":
            sys.exit(3)
        raise ValueError("in child")
    return os.waitpid(pid, 0)[1] >> 8
"""
    with worker() as (forked, _):
        for how, status in (("return", 1), ("exit", 3), ("raise", 1)):
            outcome, flags, _, body, log = forked.run(source_call(source, "f", how))
            assert (outcome, flags) == (SUCCEEDED, 0)
            assert _envelope.decode_value(body) == status
            assert (b"in child" in log) == (how == "raise")


def test_threads_left():
    source = """
import threading
def f(daemon):
    threading.Thread(target=threading.Event().wait, daemon=daemon).start()
"""
    with worker() as (forked, _):
        assert forked.run(source_call(source, "f", True))[1] == 0
        assert forked.run(source_call(source, "f", False))[1] == REPLACE_ME
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0


def test_exit_handlers_run_at_the_end():
    source = """
import atexit
def f(path):
    atexit.register(lambda: open(path, "w").close())
"""
    with zygote() as running:
        forked = running.fork()
        mark = running.cache / "left"
        forked.run(source_call(source, "f", str(mark)))
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0 and mark.exists()
        forked.close()


# --- Interrupts -----------------------------------------------------------------------

SLEEPER = """
import time
def f():
    try:
        print("begun", flush=True)
        time.sleep(1000)
    finally:
        print("cleaned up")
def stubborn():
    try:
        print("begun", flush=True)
        time.sleep(1000)
    except Exception:
        return "went on"
"""


def begun(forked):
    while b"begun" not in forked.pending:
        forked.pending += forked.read_some()


def test_cancel_and_soft_limit():
    with worker() as (forked, _):
        for why, outcome, error in (
            (1, CANCELLED, exceptions.JobCancelled),
            (2, FAILED, exceptions.TimeLimitExceeded),
        ):
            seq = forked.send_job(source_call(SLEEPER, "f"), soft_ms=1500)
            begun(forked)
            forked.interrupt(seq, why)
            got, flags, code, body, log = forked.result()
            assert (got, flags, code) == (outcome, 0, error.code)
            assert log == b"begun\ncleaned up\n"
            if why == 2:
                failure = _envelope.Failure.decode(body)
                assert failure.type == "TimeLimitExceeded"
                assert "1.5 s" in failure.message and failure.frames[0][2] == "f"
            else:
                assert body == b""
        seq = forked.send_job(source_call(SLEEPER, "stubborn"))
        begun(forked)
        forked.interrupt(seq)
        assert _envelope.decode_value(forked.result()[3]) == "went on"


def test_interrupts_that_come_early_or_late():
    quick = echo("def f(): return 1")
    with worker() as (forked, _):
        assert forked.value(quick) == 1
        forked.interrupt(forked.seq)  # late
        assert forked.value(quick) == 1
        # Together with the job, before the worker has looked.
        os.kill(forked.pid, signal.SIGSTOP)
        seq = forked.send_job(source_call(SLEEPER, "f"))
        forked.interrupt(seq)
        os.kill(forked.pid, signal.SIGCONT)
        assert forked.result()[0] == CANCELLED
        # Many jobs, many interrupts: none hits the wrong one, the worker lives.
        for _ in range(300):
            seq = forked.send_job(quick)
            forked.interrupt(seq)
            assert forked.result()[0] in (SUCCEEDED, CANCELLED)
        assert forked.value(quick) == 1


def test_the_daemon_takes_jobs_back():
    with worker() as (forked, _):
        seq = forked.send_job(source_call(SLEEPER, "f"))
        begun(forked)
        forked.send_job(echo("def f(): return 2"))
        taken = forked.theirs.recv(INLINE)
        assert taken[:1] == b"J"
        forked.seq = seq
        forked.interrupt(seq)
        assert forked.result()[0] == CANCELLED


def test_hard_limit():
    with worker() as (forked, _):
        forked.send_job(echo("def f():\n    while True: pass\n"))
        os.killpg(forked.pid, signal.SIGTERM)
        assert forked.wait_end() == -signal.SIGTERM


# --- Shell ----------------------------------------------------------------------------


def test_shell():
    with worker() as (forked, _):
        outcome, flags, _, body, log = forked.run(b'echo "test"', shell=True)
        assert (outcome, flags, log) == (SUCCEEDED, 0, b"test\n")
        assert _envelope.decode_value(body) == "test\n"
        assert forked.value(b"printf '\\377\\376'", shell=True) == b"\xff\xfe"
        assert forked.run(b"echo err >&2", shell=True)[4] == b"err\n"
        assert forked.value(b"cat; echo $0", shell=True) == "/bin/sh\n"
        assert forked.value(b"head -c 3000000 /dev/zero", shell=True) == "\0" * 3000000
        failure = forked.failure(b"echo said; exit 3", shell=True)
        assert failure.code == exceptions.ShellError.code
        assert failure.type == "ShellError"
        assert failure.detail["exit_code"] == 3 and failure.detail["output"] == "said\n"
        failure = forked.failure(b"kill -9 $$", shell=True)
        assert failure.detail["signal"] == 9 and "exit_code" not in failure.detail


def test_shell_logs_both_streams_in_the_order_of_writing():
    command = b"for i in 1 3 5 7; do echo $i; sleep 0.05; echo $((i + 1)) >&2; "
    command += b"sleep 0.05; done"
    with worker() as (forked, _):
        _, _, _, body, log = forked.run(command, shell=True)
        assert _envelope.decode_value(body) == "1\n3\n5\n7\n"
        assert log == b"1\n2\n3\n4\n5\n6\n7\n8\n"
        for _ in range(20):
            command = b"echo 1; echo 2 >&2; echo 3; echo 4 >&2"
            log = forked.run(command, shell=True)[4]
            assert log.startswith(b"1\n") and len(log) == 8
        log = forked.run(b"exec 2>&-; echo said; exit 3", shell=True)[4]
        assert log == b"said\n"
        log = forked.run(b"exec >&-; echo said >&2; exit 3", shell=True)[4]
        assert log == b"said\n"


def test_shell_command_over_the_limit():
    """A client of another make has not refused it."""
    longest = 32 * os.sysconf("SC_PAGESIZE") - 1
    with worker() as (forked, _):
        assert forked.value(b"echo ok".ljust(longest), shell=True) == "ok\n"
        failure = forked.failure(b"echo no".ljust(longest + 1), shell=True)
        assert failure.type == "PayloadTooLarge"
        assert f"{longest + 1} bytes" in failure.message
        assert f"limit of this node is {longest}" in failure.message


def test_shell_output_over_the_limit():
    with worker(max_payload=1000) as (forked, _):
        assert forked.value(b"head -c 1000 /dev/zero", shell=True) == "\0" * 1000
        failure = forked.failure(b"head -c 1001 /dev/zero", shell=True)
        assert failure.code == exceptions.PayloadTooLarge.code
        assert "1001" in failure.message and "1000" in failure.message


def test_shell_leaves_something_running():
    for command in (
        b"sleep 1000 & echo on",
        b"sleep 1000 >/dev/null 2>&1 & echo on",
    ):
        with worker() as (forked, _):
            outcome, flags, _, body, _ = forked.run(command, shell=True)
            assert (outcome, flags) == (SUCCEEDED, CHILDREN_LEFT)
            assert _envelope.decode_value(body) == "on\n"


def test_shell_is_interrupted():
    with worker() as (forked, _):
        seq = forked.send_job(b"sleep 1000 & echo begun $!; sleep 1000", shell=True)
        begun(forked)
        until(lambda: b"\n" in forked.pending or _more(forked), "the child's number")
        child = int(forked.pending.split()[1])
        forked.interrupt(seq)
        outcome, flags, _, _, _ = forked.result()
        assert outcome == CANCELLED
        until(lambda: not is_alive(child), "the end of the shell's child")
        assert forked.value(b"echo on", shell=True) == "on\n"


def _more(forked):
    forked.pending += forked.read_some()
    return False


if __name__ == "__main__":
    run_tests(globals())
