# SPDX-License-Identifier: MIT
"""Which source a function needs on the node: the local modules reachable by import
statements, found by reading (AST and finders), never by executing.

*Local* is what is neither in the standard library nor in a site-packages folder. A
module is read once, when it is first bundled, and read again only after
importlib.reload. An import that neither the node's Python, nor the bundle, nor
packages= provides is reported here, with file and line, instead of failing later on a
node.

An import is *firm* where it certainly runs: at the top of a module that is itself firm,
or in the body of the function that is called. Imports that may not run are followed
too, but nothing is missed before the job misses it: under ``if``, in a loop, under
``with`` or a ``try`` with a handler, which may swallow their failure, behind a way out,
or in other functions, inner ones included.
"""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import linecache
import os
import sys
import sysconfig
import threading
import time
import types
import warnings
from typing import (
    Any,
    Collection,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from understudy import _data, _live
from understudy._packages import MOVED, distribution_of, normal, provides
from understudy.exceptions import SerializationError

_SITE = frozenset(("site-packages", "dist-packages"))
_PROVIDED = frozenset(("understudy", "__future__", "__main__"))
_NO_SOURCE = (*importlib.machinery.EXTENSION_SUFFIXES, ".pyc")
_lock = threading.RLock()


class Import(NamedTuple):
    module: str
    names: Tuple[str, ...]  # of "from module import names": perhaps submodules
    line: int
    where: str  # qualified name of the function around it, "" at the top
    optional: bool


class Module(NamedTuple):
    name: str
    path: str  # in the bundle
    file: str  # here
    source: Optional[bytes]  # None: a namespace package, or nothing that can travel
    problem: str  # why source is None, "" for a namespace package
    imports: Tuple[Import, ...]
    spec: Any
    stamp: Optional[Tuple[int, int]] = None  # of the file


class Need(NamedTuple):
    """A module that somebody imports, and where this is written. certain: it is
    certainly imported, so that it must be there."""

    module: str
    names: Tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    certain: bool = True


# --- finding --------------------------------------------------------------------------


def _find_spec(name: str) -> Any:
    """Like importlib.util.find_spec, but imports no parents."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None)
    if spec is not None:
        return spec
    file = getattr(loaded, "__file__", None)
    if isinstance(file, str):
        return importlib.machinery.ModuleSpec(name, None, origin=file)
    parent = name.rpartition(".")[0]
    path: Optional[Sequence[str]] = None
    if parent:
        path = _locations(_find_spec(parent))
        if path is None:
            return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = None if find is None else find(name, path, None)
        except Exception:
            spec = None  # a finder of somebody else; the next may know
        if spec is not None:
            return spec
    return None if path is None else _namespace(name, path)


def _locations(spec: Any) -> Optional[List[str]]:
    """Where the submodules of a package are; None where it is not a package."""
    folders = getattr(spec, "submodule_search_locations", None)
    try:
        return None if folders is None else list(folders)
    except KeyError:  # of a namespace package, it asks for parents not imported yet
        return list(getattr(folders, "_path", ()))


def _namespace(name: str, path: Sequence[str]) -> Any:
    """A namespace package in a package that is not imported, which finders refuse."""
    places = [os.path.join(folder, name.rpartition(".")[2]) for folder in path]
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [
        place for place in places if os.path.isdir(place)
    ]
    return spec if spec.submodule_search_locations else None


def _stdlib_folders() -> FrozenSet[str]:
    paths = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    folders = {os.path.abspath(path) for path in paths if path}
    folders.add(os.path.dirname(os.path.abspath(os.__file__)))
    return frozenset(folders | {os.path.realpath(folder) for folder in folders})


_STDLIB = _stdlib_folders()
_STDLIB_NAMES = sys.stdlib_module_names


def _place(file: str) -> str:
    """'site', 'stdlib' or 'local'."""
    parts = os.path.abspath(file).split(os.sep)
    if not _SITE.isdisjoint(parts):
        return "site"
    folders = (os.sep.join(parts[:depth]) for depth in range(1, len(parts)))
    return "stdlib" if any(folder in _STDLIB for folder in folders) else "local"


def place_of(name: str) -> str:
    """'local', 'stdlib', 'site', 'provided' or 'missing'."""
    top = name.partition(".")[0]
    if top in _PROVIDED:
        return "provided"
    spec = _find_spec(name)
    if spec is None:
        return "stdlib" if top in _STDLIB_NAMES else "missing"
    if spec.origin in ("built-in", "frozen"):
        return "stdlib"
    if spec.origin is not None:
        place = _place(spec.origin)
        # setuptools has a distutils of its own.
        return "stdlib" if place == "site" and top in _STDLIB_NAMES else place
    places = [_place(os.path.join(folder, "_")) for folder in _locations(spec) or ()]
    return "local" if "local" in places else (places or ["missing"])[0]


def is_local(name: str) -> bool:
    return place_of(name) == "local"


# --- reading --------------------------------------------------------------------------


class _Reader(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, name: str, is_package: bool) -> None:
        self.package = name if is_package else name.rpartition(".")[0]
        self.found: List[Import] = []
        self.scope: List[str] = []  # qualified name so far
        self.function = ""
        self.optional = 0

    def add(self, module: str, names: Tuple[str, ...], line: int) -> None:
        optional = self.optional > 0
        self.found.append(Import(module, names, line, self.function, optional))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name, (), node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            parts = self.package.split(".")
            keep = len(parts) - (node.level - 1)
            if keep <= 0 or not self.package:
                return  # beyond the top: fails there as it does here
            module = ".".join([*parts[:keep], *([module] if module else [])])
        self.add(module, tuple(alias.name for alias in node.names), node.lineno)

    def visit_Module(self, node: ast.Module) -> None:
        self.visit_all(node.body)

    def _function(self, node: Any) -> None:
        for outside in (*node.decorator_list, node.args):
            self.visit(outside)
        outer, depth = self.function, self.optional
        self.function = ".".join([*self.scope, node.name])
        self.scope += [node.name, "<locals>"]
        self.optional = 0
        self.visit_all(node.body)
        del self.scope[-2:]
        self.function, self.optional = outer, depth

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.scope.append(node.name)
        self.visit_all(node.body)
        self.scope.pop()

    def visit_If(self, node: ast.If) -> None:
        self.maybe(node.body)
        self.maybe(node.orelse)

    def _loop(self, node: Any) -> None:
        self.maybe(node.body)
        self.maybe(node.orelse)

    visit_For = visit_AsyncFor = visit_While = _loop  # noqa: N815

    def _with(self, node: Any) -> None:
        self.maybe(node.body)

    visit_With = visit_AsyncWith = _with  # noqa: N815

    def visit_Match(self, node: Any) -> None:
        for case in node.cases:
            self.maybe(case.body)

    def visit_Try(self, node: Any) -> None:
        visit = self.maybe if node.handlers else self.visit_all
        visit(node.body)
        self.maybe([s for handler in node.handlers for s in handler.body])
        visit(node.orelse)
        self.visit_all(node.finalbody)

    visit_TryStar = visit_Try  # noqa: N815

    def maybe(self, body: Iterable[ast.AST]) -> None:
        self.optional += 1
        self.visit_all(body)
        self.optional -= 1

    def visit_all(self, body: Iterable[ast.AST]) -> None:
        before = self.optional
        for node in body:
            self.visit(node)
            self.optional += _may_leave(node)
        self.optional = before


def _may_leave(node: ast.AST) -> bool:
    """Whether what stands behind this statement may never run."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    return isinstance(node, (ast.Return, ast.Raise)) or any(
        _may_leave(child) for child in ast.iter_child_nodes(node)
    )


def _exported(tree: ast.Module) -> Tuple[str, ...]:
    """A literal __all__: "from package import *" imports submodules named there."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__"
            for target in node.targets
        ):
            try:
                return tuple(name for name in ast.literal_eval(node.value))
            except (ValueError, TypeError):
                return ()
    return ()


def _imports(name: str, is_package: bool, source: bytes) -> Tuple[Import, ...]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()  # fails there as it does here
    reader = _Reader(name, is_package)
    reader.visit(tree)
    if is_package:
        exported = _exported(tree)
        if exported:
            reader.found.append(Import(name, exported, 1, "", True))
    return tuple(reader.found)


def _read(name: str, spec: Any) -> Module:
    is_package = spec.submodule_search_locations is not None
    path = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
    file = spec.origin
    if file is None:
        return Module(name, path, "", None, "", (), spec)
    if file.endswith(_NO_SOURCE):
        what = "has no source" if file.endswith(".pyc") else "is compiled"
        return Module(name, path, file, None, what, (), spec)
    stamp = _data.stamp_of(file)
    try:
        data = getattr(spec.loader, "get_data", None)
        source = data(file) if data is not None else _contents(file)
    except OSError as error:
        return Module(name, path, file, None, f"cannot be read: {error}", (), spec)
    imports = _imports(name, is_package, source)
    return Module(name, path, file, source, "", imports, spec, stamp)


def _contents(file: str) -> bytes:
    with open(file, "rb") as stream:
        return stream.read()


_modules: Dict[str, Module] = {}
_data_of: Dict[str, _data.Data] = {}  # by top-level package
_files: Dict[str, str] = {}  # path in a bundle -> file here


def _module(name: str) -> Optional[Module]:
    """The snapshot of a local module; None where it is not local."""
    with _lock:
        known = _modules.get(name)
        if known is not None:
            if not _is_reloaded(name, known.spec):
                return known
            _start_anew()
        if not is_local(name):
            return None
        module = _read(name, _find_spec(name))
        if module.source is not None:
            _files[module.path] = os.path.abspath(module.file)
            module = _as_loaded(module)
        _modules[name] = module
        _watch()
        return module


def _is_reloaded(name: str, spec: Any) -> bool:
    found = getattr(sys.modules.get(name), "__spec__", None)
    return found is not None and found is not spec


def _as_loaded(module: Module, before: Optional[Module] = None) -> Module:
    """With the source that the program runs, where the file was edited since it was
    loaded. before: the last snapshot, of which the program may run the source still."""
    loaded = sys.modules.get(module.name)
    if (
        not isinstance(loaded, types.ModuleType)
        or module.source is None
        or module.stamp is None
        or module.stamp[0] / 1e9 < _live.STARTED
    ):
        return module
    sources = [module.source]
    if before is not None and before.source is not None:
        sources.insert(0, before.source)
    cached = linecache.cache.get(module.file)
    if cached is not None and len(cached) > 2:
        sources.append("".join(cached[2]).encode())
    counted = [_live.differences(loaded, text, module.file) for text in sources]
    fewest = min(counted)
    if fewest and sources[counted.index(fewest)] is not getattr(before, "source", None):
        warnings.warn(
            f"{module.file} was edited after the program had loaded it, and what it "
            "runs is in no file any more: jobs run what is in the file now",
            stacklevel=2,
        )
        return module
    source = sources[counted.index(fewest)]
    if source == module.source:
        return module
    is_package = module.path.endswith("/__init__.py")
    imports = _imports(module.name, is_package, source)
    return module._replace(source=source, imports=imports)


def _data_files(package: Module) -> Dict[str, bytes]:
    """Of a top-level package."""
    with _lock:
        known = _data_of.get(package.name)
        if known is None:
            folders = _locations(package.spec) or []
            known = _data.collect(
                package.name, [f for f in folders if os.path.isdir(f)]
            )
            _data_of[package.name] = known
            for path in known.files:
                _files.setdefault(path, path)
        return known.files


def file_of(path: str) -> Optional[str]:
    """The file here that travelled under this path."""
    return _files.get(path)


def local_files() -> Collection[str]:
    """The files here that have travelled."""
    return _files.values()


# --- what has changed since -----------------------------------------------------------

_FEW = 16  # modules are looked at for each call

_generation = 0
_next_look = 0.0
_watched: Tuple[Tuple[Any, Any], ...] = ()
_now = time.monotonic


def generation() -> int:
    """Another number whenever what was bundled is not what the program runs now.

    Reloaded modules are seen at once. Files are looked at again when that costs less
    than one percent of the time.
    """
    for loaded, spec in _watched:
        if loaded.__spec__ is not spec:
            break
    else:
        if _now() < _next_look:
            return _generation
    return _look()


def _look() -> int:
    global _next_look
    begin = _now()
    with _lock:
        if _look_again():
            _start_anew()
        _watch()
    end = _now()
    _next_look = end + 100 * (end - begin)
    return _generation


def _start_anew() -> None:
    global _generation
    _generation += 1


def _watch() -> None:
    """Of a few modules a new spec is seen at once."""
    global _watched
    found = [(sys.modules.get(m.name), m.spec) for m in _modules.values()]
    _watched = tuple(
        (loaded, spec)
        for loaded, spec in found[:_FEW]
        if getattr(loaded, "__spec__", None) is spec
    )


def _look_again() -> bool:
    """Whether a snapshot had to be dropped."""
    changed = False
    for name, module in list(_modules.items()):
        if _is_reloaded(name, module.spec):
            del _modules[name]
            changed = True
        elif module.stamp is not None and _data.stamp_of(module.file) != module.stamp:
            again = _read(name, module.spec)
            if again.source is None:
                _modules[name] = module._replace(stamp=again.stamp)
                continue
            again = _as_loaded(again, module)
            changed = changed or again.source != module.source
            _modules[name] = again
    for name, data in list(_data_of.items()):
        if not data.is_as_it_was():
            del _data_of[name]
            changed = True
    return changed


# --- the text of code that goes by value ----------------------------------------------

_SOURCES = ".source"  # in a bundle; the worker shows it in tracebacks
_SOURCE_LIMIT = 1024 * 1024


@functools.lru_cache(maxsize=256)
def is_own_source(file: str) -> bool:
    """Whether it is a source file of the user's."""
    return os.path.isabs(file) and os.path.isfile(file) and _place(file) == "local"


def _source_files(files: Iterable[str]) -> Dict[str, bytes]:
    found: Dict[str, bytes] = {}
    for file in files:
        text = "".join(linecache.getlines(file)).encode("utf-8", "replace")
        if text and len(text) <= _SOURCE_LIMIT:
            found[_SOURCES + os.path.normpath(file)] = text
    return found


# --- walking --------------------------------------------------------------------------


def _chain(name: str) -> Iterator[str]:
    """a.b.c: a, a.b, a.b.c"""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        yield ".".join(parts[:depth])


class _Walk:
    """Modules reachable from some needs; firm ones are checked for what is missing."""

    def __init__(self, packages: Sequence[str], function: str) -> None:
        self.packages = packages
        self.function = function
        self.modules: Dict[str, Module] = {}
        self.firm: Set[str] = set()
        self.waiting: List[Tuple[Module, bool, bool]] = []

    def need(self, need: Need, firm: bool, root: bool = False) -> None:
        """Takes in a module with its parents and the submodules that are named. root:
        it is the module of the function."""
        if firm and not is_local(need.module):
            self.check(need)
        for name in _chain(need.module):
            self.reach(name, need, firm, root and name == need.module)
        for name in need.names:
            self.reach(f"{need.module}.{name}", need, firm, False)

    def reach(self, name: str, need: Need, firm: bool, root: bool) -> None:
        """Takes in one module, if it is local and was not yet as firmly needed."""
        if name in self.firm or (not firm and name in self.modules):
            return
        module = _module(name)
        if module is None:
            return
        if module.problem:
            if firm:
                raise SerializationError(
                    f"module {name} {module.problem} ({module.file}), so it cannot "
                    f"travel{_because(need)}; put it into a package and name that in "
                    "packages=[…]"
                )
            return
        self.modules[name] = module
        if firm:
            self.firm.add(name)
        self.waiting.append((module, firm, root))

    def run(self) -> None:
        while self.waiting:
            module, firm, root = self.waiting.pop()
            for found in module.imports:
                certain = firm and not found.optional and self.runs(found, root)
                place = module.path
                self.need(Need(found.module, found.names, place, found.line), certain)

    def runs(self, found: Import, root: bool) -> bool:
        """Whether an import stands at the top of its module or in the function."""
        return not found.where or (root and found.where == self.function)

    def check(self, need: Need) -> None:
        """SerializationError where nothing provides the module on a node."""
        place = place_of(need.module)
        if place in ("stdlib", "provided"):
            return
        top = need.module.partition(".")[0]
        if place == "missing" and is_local(top):
            return  # an attribute, or a module that fails there as it does here
        if not provides(top, self.packages):
            where = f"`{need.file}` line {need.line} imports " if need.file else ""
            verb = "" if need.file else " is needed"
            name = distribution_of(need.module)
            what = "it" if normal(name) == normal(top) else name
            raise SerializationError(f"{where}{top}{verb}; add {what} to packages=[…]")


def _because(need: Need) -> str:
    return f", but `{need.file}` line {need.line} imports it" if need.file else ""


class Bundle(NamedTuple):
    files: Dict[str, bytes]
    modules: FrozenSet[str]


def gather(
    needs: Iterable[Need],
    packages: Sequence[str],
    function: str = "",
    sources: Iterable[str] = (),
) -> Bundle:
    """What needs reach. function: qualified name, in the module of the first need, of
    what will be called. sources: files of code that goes by value."""
    walk = _Walk(packages, function)
    for position, need in enumerate(needs):
        walk.need(need, need.certain, position == 0)
    walk.run()
    files: Dict[str, bytes] = _source_files(sources)
    for module in walk.modules.values():
        if "." not in module.name and _locations(module.spec) is not None:
            files.update(_data_files(module))
    for module in walk.modules.values():
        if module.source is not None:
            files[module.path] = module.source
    return Bundle(dict(sorted(files.items())), frozenset(walk.modules))


# --- what a job has missed ------------------------------------------------------------


def advice(module: str) -> Optional[str]:
    """What would bring a module that a job has missed."""
    place = place_of(module)
    if place == "local":
        return (
            f"{module} is a module of your own that no import statement leads to, so "
            "it did not travel: import it where it is used"
        )
    top = module.partition(".")[0]
    if place == "provided" or (place == "stdlib" and top not in MOVED):
        return None
    if module != top and place == "missing":
        return None  # its package was there
    return f"add {distribution_of(module)} to packages=[…]"
