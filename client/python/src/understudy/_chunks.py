# SPDX-License-Identifier: MIT
"""What a job does with several items at once, the chunks of Executor.map, and with a
batch of joblib.

Runs on nodes, which provide this package to the job: uses nothing but Python 3.9.
"""

from __future__ import annotations

import os
from typing import Any, Callable, List, Sequence, Tuple

from understudy import _running
from understudy.exceptions import RemoteError


def call(function: Callable[[], Any]) -> Any:
    """The value of a function that travels as an argument."""
    return function()


def run_chunk(function: Callable[..., Any], items: Sequence[Tuple[Any, ...]]) -> Any:
    """The values for all items. The first exception ends the chunk."""
    pid = os.getpid()
    return [_running.call(function, item, {}, pid) for item in items]


def run_chunk_to_end(
    function: Callable[..., Any], items: Sequence[Tuple[Any, ...]]
) -> List[Tuple[bool, Any]]:
    """(True, value) or (False, exception) for each item."""
    pid = os.getpid()
    ends: List[Tuple[bool, Any]] = []
    for item in items:
        try:
            ends.append((True, _running.call(function, item, {}, pid)))
        except Exception as error:
            ends.append((False, error))
        except SystemExit as exit:
            if os.getpid() != pid:
                raise
            detail = {"exit_status": _running.exit_status(exit)}
            ends.append((False, RemoteError(f"SystemExit: {exit}", detail=detail)))
    return ends
