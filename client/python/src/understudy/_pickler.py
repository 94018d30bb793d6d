# SPDX-License-Identifier: MIT
"""Pickling as the client does it: by name what the node can import, by value (with
cloudpickle) what it cannot, and a record of the modules that either needs.

Only the client loads this module: cloudpickle must be there.
"""

from __future__ import annotations

import ast
import dis
import functools
import io
import os
import pickle
import pkgutil
import sys
import types
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import cloudpickle

from understudy import _bundle, _envelope
from understudy._bundle import Need
from understudy._wrapper import BoundWrapper, Wrapper

# What multiprocessing spawns knows the program's own module by another name, under
# which no other process could import it.
_MAIN = ("__main__", "__mp_main__")
if getattr(sys.modules.get("__main__"), "__name__", "") == "__mp_main__":
    cloudpickle.register_pickle_by_value(sys.modules["__mp_main__"])

_REFERENCES = (type, types.FunctionType, types.BuiltinFunctionType)


class Pickled(NamedTuple):
    data: bytes
    has_code: bool
    needs: Tuple[Need, ...]


def dumps(obj: Any, root: Optional[types.FunctionType] = None) -> Pickled:
    """root: the function that will be called, whose imports must succeed."""
    file = io.BytesIO()
    pickler = _Pickler(file, root)
    pickler.dump(obj)
    return Pickled(file.getvalue(), pickler.has_code, tuple(pickler.needs.values()))


def loads(data: bytes) -> Any:
    return _Unpickler(io.BytesIO(data)).load()


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, root: Optional[types.FunctionType]) -> None:
        super().__init__(file, _envelope.PICKLE_PROTOCOL)
        self.root = root
        self.has_code = False
        self.needs: Dict[Tuple[str, Tuple[str, ...]], Need] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            if obj.__name__ in sys.modules:  # others go by value
                self.need(_need_of(obj.__name__, self.root))
        elif isinstance(obj, Wrapper):
            return self.decorated(obj)
        elif isinstance(obj, types.CodeType):
            self.has_code = True
        elif isinstance(obj, _REFERENCES):
            return self.reference(obj)
        return NotImplemented

    def base(self, obj: Any) -> Any:
        return super().reducer_override(obj)

    def reference(self, obj: Any) -> Any:
        """A class or function: by name where the node can import it."""
        module = getattr(obj, "__module__", None)
        if module in _MAIN:
            name = _bundle.main_name()
            if name is not None and find(module, obj.__qualname__) is obj:
                self.need(Need(name))
                return pkgutil.resolve_name, (f"{name}:{obj.__qualname__}",)
        reduced = self.base(obj)
        if reduced is not NotImplemented:
            self.has_code = True
            if isinstance(obj, types.FunctionType):
                self.imports_of(obj)
        elif isinstance(module, str):
            if module.partition(".")[0] == "cloudpickle":  # which travels beside
                self.has_code = True
            else:
                self.need(Need(module))
        return reduced

    def decorated(self, obj: Wrapper) -> Any:
        name = importable_name(obj)
        if name is None:
            return obj._reduce_by_value()
        self.need(Need(name[0]))
        if obj.__module__ == name[0]:
            return NotImplemented  # its own __reduce__ is the name
        return pkgutil.resolve_name, (":".join(name),)

    def need(self, need: Need) -> None:
        self.needs.setdefault((need.module, need.names), need)

    def imports_of(self, function: types.FunctionType) -> None:
        """Import statements in a body that travels by value. They must succeed only in
        the function that is called."""
        for need in code_imports(function.__code__, function.__globals__):
            if function is self.root or _bundle.is_local(need.module):
                self.need(need)


class _Unpickler(pickle.Unpickler):
    """What a node knows as pkg.main is __main__ where ``python -m pkg.main`` runs."""

    def find_class(self, module: str, name: str) -> Any:
        if module == _bundle.main_name():
            module = "__main__"
        return super().find_class(module, name)


# --- names ----------------------------------------------------------------------------


def find(module: str, qualname: str) -> Any:
    """What stands under this name now, or None."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def unwrap(obj: Any) -> Any:
    """The plain function in a wrapper or a bound method; anything else as it is."""
    while True:
        if isinstance(obj, Wrapper):
            obj = obj.__wrapped__
        elif isinstance(obj, (types.MethodType, BoundWrapper)):
            obj = obj.__func__
        else:
            return obj


def importable_name(function: Any) -> Optional[Tuple[str, str]]:
    """Module and qualified name under which a node can import a function."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return None
    if unwrap(find(module, qualname)) is not unwrap(function):
        return None
    if module in _MAIN:
        name = _bundle.main_name()
        return None if name is None else (name, qualname)
    return None if _bundle.place_of(module) == "missing" else (module, qualname)


# --- imports in code objects ----------------------------------------------------------


def code_imports(code: types.CodeType, scope: Dict[str, Any]) -> Iterator[Need]:
    """Imports in a body and the functions inside it, which may have no source text.
    Those inside a try are left out: an exception table or block covers them."""
    line = code.co_firstlineno
    constants: List[Any] = [None, None]
    guarded = _guarded(code)
    for step in dis.get_instructions(code):
        line = _line(step, line)
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants = [constants[-1], step.argval]
        elif step.opname == "IMPORT_NAME" and step.offset not in guarded:
            level, names = constants
            module = _absolute(step.argval, level, scope)
            if module:
                file = os.path.basename(code.co_filename)
                yield Need(module, tuple(names or ()), file, line)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_imports(constant, scope)


def _line(step: Any, line: int) -> int:
    number = (
        getattr(step, "line_number", None)
        if sys.version_info >= (3, 13)
        else (step.starts_line)
    )
    return number if isinstance(number, int) and not isinstance(number, bool) else line


def _guarded(code: types.CodeType) -> set[int]:
    """Offsets that a handler of a try covers."""
    entries = getattr(dis, "_parse_exception_table", lambda code: ())(code)
    return {at for entry in entries for at in range(entry.start, entry.end, 2)}


def _absolute(name: str, level: Any, scope: Dict[str, Any]) -> Optional[str]:
    if not level:
        return name
    package = scope.get("__package__") or ""
    parts = package.split(".")
    keep = len(parts) - (level - 1)
    if not package or keep <= 0:
        return None
    return ".".join([*parts[:keep], *([name] if name else [])])


@functools.lru_cache(maxsize=64)
def _import_lines(file: str) -> Dict[str, int]:
    """Lines of the imports in a source file, by top-level name."""
    try:
        with open(file, "rb") as stream:
            tree = ast.parse(stream.read())
    except (OSError, SyntaxError, ValueError):
        return {}
    lines: Dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                lines.setdefault(alias.name.partition(".")[0], node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            lines.setdefault(node.module.partition(".")[0], node.lineno)
    return lines


def _need_of(module: str, root: Optional[types.FunctionType]) -> Need:
    """The need of a module that a function uses, with the line that imports it where
    the function's file has one."""
    file = "" if root is None else root.__code__.co_filename
    line = _import_lines(file).get(module.partition(".")[0]) if file else None
    if line is None:
        return Need(module)
    return Need(module, (), os.path.basename(file), line)
