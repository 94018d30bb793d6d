# SPDX-License-Identifier: MIT
"""Which source a function needs on the node: the local modules reachable by import
statements, found by reading (AST and finders), never by executing.

*Local* is what is neither in the standard library nor in a site-packages folder. A
module is read once, when it is first bundled, and read again only after
importlib.reload. An import that neither the node's Python, nor the bundle, nor
packages= provides is reported here, with file and line, instead of failing later on a
node.

An import is *firm* where it certainly runs: at the top of a module that is itself firm,
or in the body of the function that is called. Imports under ``if``, under ``try`` with
a handler, or in other functions are followed too, but nothing is missed if they fail.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import re
import sys
import sysconfig
import threading
from typing import (
    Any,
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


class Need(NamedTuple):
    """A module that somebody imports, and where this is written."""

    module: str
    names: Tuple[str, ...] = ()
    file: str = ""
    line: int = 0


# --- finding --------------------------------------------------------------------------


def main_name() -> Optional[str]:
    """The importable name of __main__: that of ``python -m pkg.main``."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(spec, "name", None)
    return name if isinstance(name, str) and name != "__main__" else None


def _find_spec(name: str) -> Any:
    """Like importlib.util.find_spec, but imports no parents."""
    if name == main_name():
        return sys.modules["__main__"].__spec__
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
    if top in _PROVIDED and name != main_name():
        return "provided"
    spec = _find_spec(name)
    if spec is None:
        return "stdlib" if top in getattr(sys, "stdlib_module_names", ()) else "missing"
    if spec.origin in ("built-in", "frozen"):
        return "stdlib"
    if spec.origin is not None:
        return _place(spec.origin)
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
        for node in body:
            self.visit(node)


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
    try:
        data = getattr(spec.loader, "get_data", None)
        source = data(file) if data is not None else _contents(file)
    except OSError as error:
        return Module(name, path, file, None, f"cannot be read: {error}", (), spec)
    return Module(
        name, path, file, source, "", _imports(name, is_package, source), spec
    )


def _contents(file: str) -> bytes:
    with open(file, "rb") as stream:
        return stream.read()


_modules: Dict[str, Module] = {}
_files: Dict[str, str] = {}  # path in a bundle -> file here


def _module(name: str) -> Optional[Module]:
    """The snapshot of a local module; None where it is not local."""
    with _lock:
        known = _modules.get(name)
        loaded = sys.modules.get(name)
        spec = getattr(loaded, "__spec__", None)
        if known is not None and (spec is None or spec is known.spec):
            return known
        if not is_local(name):
            return None
        module = _modules[name] = _read(name, _find_spec(name))
        if module.source is not None:
            _files[module.path] = os.path.abspath(module.file)
        return module


def file_of(path: str) -> Optional[str]:
    """The file here that travelled under this path."""
    return _files.get(path)


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
        return not found.where or (
            root
            and bool(self.function)
            and (found.where + ".").startswith(self.function + ".")
        )

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
            raise SerializationError(f"{where}{top}{verb}; add it to packages=[…]")


def _because(need: Need) -> str:
    return f", but `{need.file}` line {need.line} imports it" if need.file else ""


class Bundle(NamedTuple):
    files: Dict[str, bytes]
    modules: FrozenSet[str]


def gather(
    needs: Iterable[Need], packages: Sequence[str], function: str = ""
) -> Bundle:
    """What needs reach. function: qualified name, in the module of the first need, of
    what will be called."""
    walk = _Walk(packages, function)
    for position, need in enumerate(needs):
        walk.need(need, True, position == 0)
    walk.run()
    files = {m.path: m.source for m in walk.modules.values() if m.source is not None}
    return Bundle(dict(sorted(files.items())), frozenset(walk.modules))


# --- packages -------------------------------------------------------------------------


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirement_name(requirement: str) -> str:
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return normal(found.group(1)) if found else ""


_distributions: Optional[Dict[str, List[str]]] = None


def _distributions_of(top: str) -> List[str]:
    """Names of the installed distributions that hold the top-level module."""
    global _distributions
    if _distributions is None:
        from importlib import metadata

        listing = getattr(metadata, "packages_distributions", None)
        _distributions = {
            module: [normal(name) for name in names]
            for module, names in (listing().items() if listing else ())
        }
    return _distributions.get(top, [])


def _closure(names: Iterable[str]) -> Tuple[Set[str], bool]:
    """The named distributions with all they require, as installed here; and whether all
    named ones are, so that this is the whole of it."""
    from importlib import metadata

    named = set(names)
    known: Set[str] = set()
    waiting = list(named)
    complete = True
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        try:
            requires = metadata.distribution(name).requires or ()
        except metadata.PackageNotFoundError:
            complete = complete and name not in named
            continue
        waiting += [_requirement_name(requirement) for requirement in requires]
    return known, complete


def provides(top: str, packages: Sequence[str]) -> bool:
    """Whether packages= bring the module, as far as can be known here."""
    names = {_requirement_name(requirement) for requirement in packages}
    if normal(top) in names:
        return True
    if not names:
        return False
    known, complete = _closure(names)
    return not complete or not known.isdisjoint(_distributions_of(top))
