# SPDX-License-Identifier: MIT
"""What a job does with several items at once, the chunks of Executor.map, and with a
batch of joblib.

Runs on nodes, which provide this package to the job: uses nothing but Python 3.9.
"""

from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple


def call(function: Callable[[], Any]) -> Any:
    """The value of a function that travels as an argument."""
    return function()


def run_chunk(function: Callable[..., Any], items: Sequence[Tuple[Any, ...]]) -> Any:
    """The values for all items. The first exception ends the chunk."""
    return [function(*item) for item in items]


def run_chunk_to_end(
    function: Callable[..., Any], items: Sequence[Tuple[Any, ...]]
) -> List[Tuple[bool, Any]]:
    """(True, value) or (False, exception) for each item."""
    ends: List[Tuple[bool, Any]] = []
    for item in items:
        try:
            ends.append((True, function(*item)))
        except Exception as error:
            ends.append((False, error))
    return ends
