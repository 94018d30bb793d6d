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
import sys
import types
from typing import (
    Any,
    Dict,
    FrozenSet,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import cloudpickle

from understudy import _buffers, _bundle, _by_value, _envelope
from understudy._bundle import Need
from understudy._by_value import find, unwrap
from understudy._wrapper import Wrapper

if getattr(sys.modules.get("__main__"), "__name__", "") == "__mp_main__":
    cloudpickle.register_pickle_by_value(sys.modules["__mp_main__"])


class Pickled(NamedTuple):
    data: bytes
    has_code: bool
    needs: Tuple[Need, ...]
    sources: FrozenSet[str]  # files of the code in it


def dumps(
    obj: Any,
    root: Optional[types.FunctionType] = None,
    apart: Optional[_buffers.Apart] = None,
) -> Pickled:
    """root: the function that will be called, whose imports must succeed. apart: takes
    the large buffers."""
    file = io.BytesIO()
    pickler = _by_value.make_pickler(_Pickler, file, apart, root)
    pickler.dump(obj)
    needs = tuple(pickler.needs.values())
    return Pickled(file.getvalue(), pickler.has_code, needs, frozenset(pickler.sources))


def loads(data: bytes, buffers: Sequence[Any] = ()) -> Any:
    """What a node has sent. Nothing that this process has is changed by it."""
    return _by_value.Unpickler(data, cloudpickle, keeps=True, buffers=buffers).load()


class _Pickler(_by_value.Pickler, cloudpickle.CloudPickler):  # type: ignore[misc]
    def __init__(
        self,
        file: io.BytesIO,
        root: Optional[types.FunctionType],
        buffer_callback: Optional[_buffers.Apart] = None,
    ) -> None:
        super().__init__(
            file, _envelope.PICKLE_PROTOCOL, buffer_callback=buffer_callback
        )
        self.root = root
        self.needs: Dict[Tuple[str, Tuple[str, ...]], Need] = {}
        self.sources: Set[str] = set()
        self.kept: List[Any] = []

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            return self.module(obj)
        if isinstance(obj, Wrapper):
            return self.decorated(obj)
        return super().reducer_override(obj)

    def module(self, obj: types.ModuleType) -> Any:
        if obj.__name__ not in sys.modules:
            return NotImplemented  # it goes by value
        need = _need_of(obj.__name__, self.root)
        if _bundle.place_of(obj.__name__) != "site" or _certainly_uses(self.root, obj):
            self.need(need)
            return NotImplemented
        self.need(need._replace(certain=False))
        return _by_value.find_module, (obj.__name__,)

    def base(self, obj: Any) -> Any:
        """A class or function: by name where the node can import it."""
        reduced = super().base(obj)
        module = getattr(obj, "__module__", None)
        if reduced is not NotImplemented:
            self.has_code = True
        elif isinstance(module, str):
            if module.partition(".")[0] == "cloudpickle":  # which travels beside
                self.has_code = True
            else:
                self.uses(module)
        return reduced

    def function(self, obj: types.FunctionType) -> Any:
        plain = _not_rewritten(obj)
        if plain is not None:
            self.kept.append(plain)  # a pickler knows objects by their address
            obj = plain
        reduced = super().function(obj)
        if reduced is not NotImplemented:
            self.imports_of(obj)
        return reduced

    def code(self, obj: types.CodeType) -> Any:
        if _bundle.is_own_source(obj.co_filename):
            self.sources.add(obj.co_filename)
        return super().code(obj)

    def decorated(self, obj: Wrapper) -> Any:
        name = importable_name(obj)
        if name is None:
            return obj._reduce_by_value()
        self.uses(name[0])
        return NotImplemented  # its own __reduce__ is the name

    def uses(self, module: str) -> None:
        self.need(_need_of(module, self.root))

    def need(self, need: Need) -> None:
        self.needs.setdefault((need.module, need.names), need)

    def imports_of(self, function: types.FunctionType) -> None:
        """Import statements in a body that travels by value. Those that certainly run
        in the function that is called must succeed."""
        for need in code_imports(function.__code__, function.__globals__):
            certain = need.certain and function is self.root
            if certain or _bundle.is_local(need.module):
                self.need(need._replace(certain=certain))


# --- asserts that pytest has rewritten ------------------------------------------------


def _not_rewritten(function: types.FunctionType) -> Optional[types.FunctionType]:
    """A function of a test module without what pytest has put into its asserts, which
    needs pytest; None where it has put nothing."""
    code = function.__code__
    if "@pytest_ar" not in function.__globals__ or not _is_rewritten(code):
        return None
    plain = _compiled(code.co_filename, code.co_name, code.co_firstlineno)
    if plain is None or set(plain.co_freevars) != set(code.co_freevars):
        return None
    cells = dict(zip(code.co_freevars, function.__closure__ or ()))
    closure = tuple(cells[name] for name in plain.co_freevars)
    made = types.FunctionType(
        plain, function.__globals__, function.__name__, function.__defaults__, closure
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    made.__annotations__ = function.__annotations__
    made.__dict__.update(function.__dict__)
    return made


def _is_rewritten(code: types.CodeType) -> bool:
    return "@pytest_ar" in code.co_names or any(
        _is_rewritten(part)
        for part in code.co_consts
        if isinstance(part, types.CodeType)
    )


@functools.lru_cache(maxsize=64)
def _compiled(file: str, name: str, line: int) -> Optional[types.CodeType]:
    """The code of a function as its file has it."""
    try:
        with open(file, "rb") as stream:
            waiting = [compile(stream.read(), file, "exec", dont_inherit=True)]
    except (OSError, SyntaxError, ValueError):
        return None
    while waiting:
        code = waiting.pop()
        if (code.co_name, code.co_firstlineno) == (name, line):
            return code
        waiting += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return None


# --- names ----------------------------------------------------------------------------


def importable_name(function: Any) -> Optional[Tuple[str, str]]:
    """Module and qualified name under which a node can import a function."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return None
    if unwrap(find(module, qualname)) is not unwrap(function):
        return None
    if module in _by_value.MAIN:
        return None  # also of python -m: as python FILE, it goes as it is now
    return None if _bundle.place_of(module) == "missing" else (module, qualname)


# --- imports in code objects ----------------------------------------------------------


_JUMPS = frozenset(
    ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD_NO_INTERRUPT")
)
_ENDS = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"))
_JUMPING = frozenset((*dis.hasjrel, *dis.hasjabs))


def code_imports(
    code: types.CodeType, scope: Dict[str, Any], outer: bool = True
) -> Iterator[Need]:
    """Imports in a body and the functions inside it, which may have no source text.
    Certain are those that every way through the body comes by; not in a try, which an
    exception table or block covers, nor in an inner function (outer=False)."""
    line = code.co_firstlineno
    constants: List[Any] = [None, None]
    guarded = _guarded(code)
    steps = list(dis.get_instructions(code))
    for position, step in enumerate(steps):
        line = _line(step, line)
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants = [constants[-1], step.argval]
        elif step.opname == "IMPORT_NAME":
            level, names = constants
            module = _absolute(step.argval, level, scope)
            if module:
                file = os.path.basename(code.co_filename)
                certain = (
                    outer
                    and step.offset not in guarded
                    and not _can_pass(steps, position)
                )
                yield Need(module, tuple(names or ()), file, line, certain)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_imports(constant, scope, False)


def _certainly_uses(function: Optional[types.FunctionType], module: Any) -> bool:
    """Whether every way through a function comes by a global or captured name of the
    module."""
    if function is None:
        return True  # there is no code that could do without
    code = function.__code__
    cells = zip(code.co_freevars, function.__closure__ or ())
    names = {name for name, value in function.__globals__.items() if value is module}
    names |= {name for name, cell in cells if _contents(cell) is module}
    guarded = _guarded(code)
    steps = list(dis.get_instructions(code))
    return any(
        step.opname in _LOADS
        and step.argval in names
        and step.offset not in guarded
        and not _can_pass(steps, position)
        for position, step in enumerate(steps)
    )


_LOADS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"))


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _can_pass(steps: List[Any], without: int) -> bool:
    """Whether a body can end without this instruction."""
    places = {step.offset: position for position, step in enumerate(steps)}
    waiting, seen = [0], {without}
    while waiting:
        position = waiting.pop()
        if position in seen or position >= len(steps):
            continue
        seen.add(position)
        step = steps[position]
        if step.opname in _ENDS:
            return True
        if step.opcode in _JUMPING and step.argval in places:
            waiting.append(places[step.argval])
        if step.opname not in _JUMPS:
            waiting.append(position + 1)
    return False


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
