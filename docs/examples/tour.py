# SPDX-License-Identifier: MIT
"""The tour: each call as it is typed, and what came back.

Needs a broker, and a node that listens on "calculator" and "default".
"""

import sys
import traceback

from arithmetic import Adder
from timezones import TimeZoneTool
from understudy import Lead
from understudy.exceptions import EnvironmentBuildError


def show(typed, value):
    """Like a REPL."""
    print(f">>> {typed}\n{value!r}", flush=True)
    return value


def expect(value, wanted):
    if value != wanted:
        sys.exit(f"that should have been {wanted!r}")


def call_and_log():
    result = Adder().add(1, 1)
    show("result = Adder().add(1, 1)", result)
    result.result(timeout=60)
    expect(show("result.check()", result.check()), 2)
    expect(show("result.log", result.log), "Adding 1 to 1")


def shell():
    result = Lead("calculator").shell('echo "test"')
    show('result = Lead("calculator").shell(\'echo "test"\')', result)
    expect(show("result.get()", result.get(timeout=60)), "test\n")


def failure():
    print(">>> Adder().divide(1, 0).get()", flush=True)
    try:
        Adder().divide(1, 0).get(timeout=60)
    except ZeroDivisionError:
        print(traceback.format_exc(), flush=True)
    else:
        sys.exit("that should have been a ZeroDivisionError")


def package():
    """Needs a package index; without one the job fails and says why."""
    typed = "TimeZoneTool().eastern()"
    try:
        expect(show(typed, TimeZoneTool().eastern()), "US/Eastern")
    except EnvironmentBuildError as error:
        # The whole text is long; its last lines tell why.
        print(f">>> {typed}\nEnvironmentBuildError: …")
        print("\n".join(str(error).rstrip().splitlines()[-3:]))
        print("(The environment needs a Python package index. Going on without it.)")
        sys.stdout.flush()


if __name__ == "__main__":
    call_and_log()
    package()
    shell()
    failure()
