# SPDX-License-Identifier: MIT
"""Which source a loaded module runs, where its file was edited meanwhile.

Nothing remembers the text that a module was made from. Its functions are still there:
a source that compiles to the same functions, and gives the same constants, is the one.
"""

from __future__ import annotations

import ast
import os
import time
import types
from typing import Any, Dict, List

from understudy._by_value import unwrap


def _started() -> float:
    """When this process began, or a little before that."""
    try:
        with open("/proc/self/stat", "rb") as stream:
            ticks = int(stream.read().rpartition(b")")[2].split()[19])
        with open("/proc/uptime", "rb") as stream:
            uptime = float(stream.read().split()[0])
        age = uptime - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - age - 2
    except (OSError, ValueError, IndexError):
        return 0.0


STARTED = _started()


def differences(module: types.ModuleType, source: bytes, file: str) -> int:
    """How many functions and constants of a module are not those of this source. What
    cannot be compared is not counted, such as what pytest has rewritten."""
    names = vars(module)
    if "@pytest_ar" in names:
        return 0
    try:
        code = compile(source, file, "exec", dont_inherit=True)
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return 1  # whatever is loaded, it is not this
    return _functions(code, names, file) + _constants(tree, names)


def _functions(code: types.CodeType, names: Any, file: str) -> int:
    """Of functions in the body of a module or class."""
    written: Dict[str, List[types.CodeType]] = {}
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            written.setdefault(part.co_name, []).append(part)
    count = 0
    for name, parts in written.items():
        live = names.get(name)
        if isinstance(live, type):
            if getattr(live, "__module__", None) == names.get(
                "__name__", live.__module__
            ):
                count += min(_functions(part, vars(live), file) for part in parts)
            continue
        found = _code_of(live)
        if found is None or found.co_name != name or found.co_filename != file:
            continue  # not from here, or in a wrapper that tells nothing of it
        shape = _shape(found)
        count += all(_shape(part) != shape for part in parts)
    return count


def _code_of(live: Any) -> Any:
    live = unwrap(live)
    if isinstance(live, (staticmethod, classmethod)):
        live = unwrap(live.__func__)
    if isinstance(live, property):
        live = live.fget
    for _ in range(16):
        if not hasattr(live, "__wrapped__"):
            break
        live = live.__wrapped__
    return getattr(live, "__code__", None)


def _shape(code: types.CodeType) -> Any:
    """What a code object does, wherever it stands."""
    return (
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags & 0xFFFF,  # not the __future__ of whoever compiled it
        code.co_argcount,
        code.co_kwonlyargcount,
        [
            _shape(part) if isinstance(part, types.CodeType) else (type(part), part)
            for part in code.co_consts
        ],
    )


def _constants(tree: ast.Module, names: Dict[str, Any]) -> int:
    """Of names that are assigned once, and a literal."""
    assigned: Dict[str, Any] = {}
    twice = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                if target.id in assigned:
                    twice.add(target.id)
                assigned[target.id] = getattr(node, "value", None)
    count = 0
    for name, value in assigned.items():
        if name in twice or name not in names or not isinstance(value, ast.Constant):
            continue
        live = names[name]
        count += type(live) is type(value.value) and live != value.value
    return count
