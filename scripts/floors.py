# SPDX-License-Identifier: MIT
"""Checks that every file stands on what it uses: no circle, no way up.

Three looks, all exact and none by guessing from names:

  objects   who defines and who needs which symbol, read by nm off the objects of the
            build: no circle of .c files; each exported name defined once over all
            parts, so that an edge means what it says, and used by another file (that
            of a test may do; asked where the build has tests)
  includes  each #include against FLOORS and ONLY below, as the calls are
  modules   imports of the Python package, those inside functions too: no circle

With --draw it prints the floors as docs/architecture.md shows them.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# Each floor and the floors that it may use, the lowest first. A file belongs to the
# longest prefix that stands here. What a row does not name may be neither included nor
# called, but for the public functions (us_), which everybody may call.
FLOORS = {
    "include": "",
    "common/base": "include",
    "common/proto": "include common/base",
    "common/auth": "include common/base common/proto",
    "common/redis": "include common/base common/proto",
    "common/net": "include common/base common/proto common/auth common/redis",
    "broker/store": "include common/base common/proto common/redis",
    "broker/peers": "include common/base common/proto common/auth",
    "broker/core": "include common/base common/proto common/auth"
    " broker/store broker/peers",
    "broker/handlers": "include common/base common/proto common/auth"
    " broker/store broker/peers broker/core",
    "broker": "include common/base common/proto common/auth common/redis"
    " broker/store broker/peers broker/core broker/handlers",
    "node/host": "include common/base common/proto",
    "node/venv": "include common/base common/proto node/host",
    "node": "include common/base common/proto common/auth common/redis common/net"
    " node/host node/venv",
    "client/lib": "include common/base common/proto common/auth common/net",
    "client/ctl": "include common/base common/proto common/auth common/redis",
    "client/python/ext": "include",
}

# A library, and the only floors whose sources may name its headers.
ONLY = {
    "hiredis": ["common/redis"],
    "msgpack.h": ["common/proto"],
    "msgpack/": ["common/proto"],
    "lua": [],
}

PARTS = ("common", "broker", "node", "client")
PACKAGE = Path("client/python/src")


def floor_of(path):
    """The floor that a file belongs to, or None where none is listed."""
    floors = [f for f in FLOORS if path == f or path.startswith(f + "/")]
    return max(floors, key=len, default=None)


def may_use(floor, other):
    return other == floor or other in FLOORS[floor].split()


# --- circles --------------------------------------------------------------------------


def circles(edges):
    """Strongly connected components of more than one, by Tarjan's algorithm."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
                on_stack.discard(component[-1])
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10000)
    for node in sorted(edges):
        if node not in index:
            visit(node)
    return sorted(found)


def tell_circles(found, edges, why):
    """Complaints about circles: their files, and what makes each edge."""
    for component in found:
        yield f"a circle of {len(component)}: {' '.join(component)}"
        inside = set(component)
        for a in component:
            for b in sorted(edges[a] & inside):
                names = sorted(why[a, b])
                more = f" and {len(names) - 6} more" if len(names) > 6 else ""
                yield f"    {a} -> {b}: {', '.join(names[:6])}{more}"


# --- objects --------------------------------------------------------------------------


def objects_of(build, root):
    """Maps sources, those of tests too, to the objects of the build."""
    objects = {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        source = os.path.relpath(command["file"], root)
        output = re.search(r" -o (\S+)", command["command"])
        if source.startswith((*PARTS, "tests")) and output:
            objects[source] = os.path.join(command["directory"], output.group(1))
    objects = {
        source: path
        for source, path in objects.items()
        if source.startswith(PARTS)
        or os.path.exists(path)  # built when it is asked for
    }
    missing = [source for source, path in objects.items() if not os.path.exists(path)]
    if missing or not objects:
        sys.exit(f"floors: not built: {' '.join(missing) or build}")
    return objects


class Symbols:
    """Who defines and who needs each external symbol."""

    def __init__(self, objects):
        self.homes = defaultdict(set)  # sources of the parts, not of tests
        self.users = defaultdict(set)
        for source, name, kind in listing_of(objects):
            if kind in "Uw":
                self.users[name].add(source)
            elif source.startswith(PARTS) and not name.startswith("_"):
                self.homes[name].add(source)

    def calls(self):
        """Edges between the sources of the parts, and the symbols behind each."""
        edges, why = defaultdict(set), defaultdict(set)
        for name, homes in self.homes.items():
            for user in self.users[name]:
                for home in homes - {user}:
                    if user.startswith(PARTS):
                        edges[user].add(home)
                        why[user, home].add(name)
        return edges, why

    def defined_twice(self):
        several = (item for item in self.homes.items() if len(item[1]) > 1)
        return {name: sorted(homes) for name, homes in several if name != "main"}

    def used_nowhere(self):
        """Names that only their own file uses, but for what the public header names."""
        for name, homes in self.homes.items():
            if not self.users[name] and not re.match(r"us_|PyInit_|main$", name):
                yield name, min(homes)


def listing_of(objects):
    """Yields (source, symbol, kind letter) for each external symbol, as nm tells it."""
    by_object = {path: source for source, path in objects.items()}
    listing = subprocess.run(
        ["nm", "-g", "-P", "-A", *by_object], check=True, capture_output=True, text=True
    ).stdout
    for line in listing.splitlines():
        path, name, kind = re.match(r"(.*?):\s*(\S+) (\S)", line).groups()
        yield by_object[path], name, kind


def check_objects(build, root):
    objects = objects_of(build, root)
    symbols = Symbols(objects)
    edges, why = symbols.calls()
    for name, at in sorted(symbols.defined_twice().items()):
        yield f"exported twice: {name} ({', '.join(at)})"
    if any(source.startswith("tests") for source in objects):
        for name, at in sorted(symbols.used_nowhere()):
            yield f"exported, and only its own file uses it: {name} ({at})"
    yield from tell_calls_aside(why)
    yield from tell_circles(circles(edges), edges, why)


def tell_calls_aside(why):
    """Complaints about calls to floors that a row of FLOORS does not name."""
    for (user, home), names in sorted(why.items()):
        inside = sorted(name for name in names if not name.startswith("us_"))
        floors = floor_of(user), floor_of(home)
        if inside and None not in floors and not may_use(*floors):
            yield f"{user}: {floors[0]} may not call {floors[1]} ({', '.join(inside)})"


# --- includes -------------------------------------------------------------------------


def includes(root):
    """Yields (file, line number, header as it is written, floor of the header)."""
    files = [p for part in (*PARTS, "include") for p in (root / part).rglob("*.[ch]")]
    for file in sorted(files):
        path = file.relative_to(root)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])(.*?)[>"]', line)
            if match:
                header = home_of(root, path, match.group(2))
                yield str(path), number, match.group(2), header and floor_of(header)


def home_of(root, path, header):
    """The header's place in the tree; None where it is not ours."""
    part = path.parts[0] if path.parts[0] != "client" else "/".join(path.parts[:2])
    for folder in (str(path.parent), part, "common", "include"):
        if (root / folder / header).exists():
            return os.path.normpath(os.path.join(folder, header))
    return None


def check_includes(root):
    for path, number, header, above in includes(root):
        own = floor_of(path)
        if own is None:
            yield f"{path}: stands on no floor; name its folder in scripts/floors.py"
        elif above and not may_use(own, above):
            yield f"{path}:{number}: {own} may not use {above} ({header})"
        for library, floors in ONLY.items():
            if above is None and header.startswith(library) and own not in floors:
                at = ", ".join(floors) or "nobody"
                yield f"{path}:{number}: only {at} may include {header}"


# --- Python ---------------------------------------------------------------------------


def modules(root):
    """Maps names of modules of the package to their files."""
    base = root / PACKAGE
    names = {}
    for file in sorted([*base.rglob("*.py"), *base.rglob("*.pyi")]):
        parts = file.relative_to(base).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


def imported(name, file, names):
    """Modules of the package that a module's code imports, anywhere in it."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(above) if node.level else ""
            home = ".".join(part for part in (start, node.module) if part)
            wanted = [f"{home}.{a.name}" for a in node.names]
            wanted = [w if w in names else home for w in wanted]
        else:
            continue
        yield from (w for w in wanted if w in names and w != name)


def check_modules(root):
    names = modules(root)
    edges = {name: set(imported(name, file, names)) for name, file in names.items()}
    why = defaultdict(lambda: ["import"])
    yield from tell_circles(circles(edges), edges, why)


# --- drawing --------------------------------------------------------------------------


def draw(build, root):
    """Each floor with what it really uses, the lowest last."""
    edges, _ = Symbols(objects_of(build, root)).calls()
    uses = {floor: set() for floor in FLOORS}
    for source, homes in edges.items():
        uses[floor_of(source)] |= {floor_of(home) for home in homes}
    width = max(map(len, FLOORS))
    for floor in reversed(FLOORS):
        below = sorted(uses[floor] - {floor}, key=list(FLOORS).index, reverse=True)
        if below:
            print(f"{floor:{width}}  stands on  {', '.join(below)}")
        elif floor != "include":
            print(f"{floor:{width}}  stands on nothing of ours")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tree = Path(__file__).resolve().parent.parent
    parser.add_argument("--root", type=Path, default=tree, help="the sources")
    parser.add_argument("--build", type=Path, help="folder of a build (ROOT/build)")
    parser.add_argument("--draw", action="store_true", help="print the floors")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    build = (arguments.build or root / "build").resolve()
    if arguments.draw:
        draw(build, root)
        return
    complaints = [
        *check_objects(build, root),
        *check_includes(root),
        *check_modules(root),
    ]
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main()
