# SPDX-License-Identifier: MIT
"""Runs your Python code on any number of listening machines.

    from understudy import Understudy, Lead, Result, Executor
    from understudy.decorators import understudy

Nothing is connected by importing this package or by decorating; the first call does it.
The names below load what they need when they are first used, so that a job which only
imports a decorated module on a node needs neither the C extension nor a broker.
"""

# From the bottom up; each module uses only what stands above it here:
#
#   exceptions            every failure, and its number
#   _msgpack, _context    plain data; what this process is
#   _wrapper              what is known of decorated functions below the decorator
#   _chunks               what a job does with several items of a map
#   _envelope             the bodies of calls, values, failures and bundles
#   _running              how a node calls a function, and how it may end
#   _by_value             what pickling by value does on both ends
#   _worker               runs jobs on a node, which has neither _core nor cloudpickle
#   _settings, _options   the keywords that say where and how
#   _live, _data          the source that a module runs; a package's data files
#   _packages             which distribution has a module
#   _bundle               the source that a function needs
#   _pickler, _serialize  from a call to its body and blobs
#   _failures             from a failure's body to an exception
#   _client, _held        the connection; a job that is not sent yet
#   _aio, _result         waiting under asyncio; the future of a job
#   _call                 submits for the next three
#   _window               how much of an Executor may be under way
#   decorators, _executor, _lead
#   _understudy           this machine as a node
#   joblib                a backend for joblib, which it needs
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

from understudy import exceptions
from understudy.exceptions import *  # noqa: F403

if TYPE_CHECKING:
    from understudy._executor import Executor as Executor
    from understudy._lead import Lead as Lead
    from understudy._result import Result as Result
    from understudy._understudy import Understudy as Understudy

__version__ = "0.1.0"

_HOMES = {
    "Executor": "understudy._executor",
    "Lead": "understudy._lead",
    "Result": "understudy._result",
    "Understudy": "understudy._understudy",
}

__all__ = sorted(["__version__", *_HOMES, *exceptions.__all__])  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
