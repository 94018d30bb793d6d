# SPDX-License-Identifier: MIT
"""How a node calls a function: what it gives back, and how it may end.

Runs on nodes: uses nothing but Python 3.9.
"""

from __future__ import annotations

import os
import sys
from types import CoroutineType
from typing import Any, Callable, Coroutine, Mapping, Sequence


def call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    pid: int,
) -> Any:
    """The function's value; of a coroutine the value that it ends with. A program that
    exits with status 0 has ended well. pid: of this process; a child that the function
    has forked really exits."""
    try:
        value = function(*args, **kwargs)
        if type(value) is CoroutineType:
            value = _run_coroutine(value)
        return value
    except SystemExit as exit:
        if os.getpid() == pid:
            if exit_status(exit) == 0:
                return None
            if not isinstance(exit.code, int):
                print(exit.code, file=sys.stderr)  # as the interpreter does
        raise


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    import asyncio  # of which only these jobs pay the import

    return asyncio.run(coroutine)


def exit_status(exc: SystemExit) -> int:
    """What the process would have ended with."""
    code = exc.code
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
