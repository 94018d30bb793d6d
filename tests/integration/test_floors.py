# SPDX-License-Identifier: MIT
"""scripts/floors.py on small trees of its own: each kind of fault is named."""

import json
import re
import subprocess

import pytest

from support import PYTHON
from support.paths import ROOT


class Tree:
    """Sources that are compiled as the build would compile them."""

    def __init__(self, root):
        self.root = root
        self.commands = []
        (root / "build").mkdir()
        self.write("client/python/src/understudy/__init__.py", "")
        self.compile("common/base/leaf.c", "int leaf (void) { return 1; }")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def compile(self, path, text):
        self.write(path, text)
        output = path.replace("/", "_") + ".o"
        command = f"gcc -o {output} -c {self.root / path}"
        subprocess.run(command.split(), cwd=self.root / "build", check=True)
        self.commands.append(
            {
                "directory": str(self.root / "build"),
                "command": command,
                "file": str(self.root / path),
            }
        )

    def floors(self, *options):
        commands = json.dumps(self.commands)
        (self.root / "build/compile_commands.json").write_text(commands)
        return subprocess.run(
            [PYTHON, "-B", ROOT / "scripts/floors.py", "--root", self.root, *options],
            capture_output=True,
            text=True,
        )

    def complaint(self):
        done = self.floors()
        assert done.returncode == 1
        return done.stderr


@pytest.fixture
def tree(directory):
    return Tree(directory)


def test_a_tree_without_faults(tree):
    tree.compile("broker/top.c", "int leaf (void);\nint top (void) { return leaf (); }")
    done = tree.floors()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_circle_of_c_files_is_named_with_its_calls(tree):
    tree.compile("node/a.c", "int b (void);\nint a (void) { return b (); }")
    tree.compile("node/b.c", "int a (void);\nint b (void) { return a (); }")
    said = tree.complaint()
    assert "a circle of 2: node/a.c node/b.c" in said
    assert "node/a.c -> node/b.c: b" in said


def test_a_circle_by_a_variable_and_a_pointer_counts(tree):
    tree.compile("node/a.c", "extern int v;\nint a (void) { return v; }")
    tree.compile("node/b.c", "int a (void);\nint v;\nint (*p) (void) = a;")
    assert "a circle of 2: node/a.c node/b.c" in tree.complaint()


def test_a_name_that_two_parts_export(tree):
    tree.compile("broker/x.c", "int same (void) { return 1; }")
    tree.compile("node/y.c", "int same (void) { return 2; }")
    assert "exported twice: same (broker/x.c, node/y.c)" in tree.complaint()


def test_a_name_that_nobody_else_needs(tree):
    tree.compile("node/a.c", "int us_public (void) { return 1; }\nint mine (void);")
    tree.compile("node/b.c", "int mine (void) { return 1; }")
    tree.compile(
        "tests/unit/node/test_a.c", "int leaf (void);\nint v (void) { return leaf (); }"
    )
    said = tree.complaint()
    assert said == "exported, and only its own file uses it: mine (node/b.c)\n"


def test_a_call_that_no_include_shows(tree):
    tree.compile("broker/b.c", "int b (void) { return 1; }")
    tree.compile("node/n.c", "int b (void);\nint n (void) { return b (); }")
    assert "node/n.c: node may not call broker (b)" in tree.complaint()


@pytest.mark.parametrize(
    ("path", "header", "said"),
    [
        ("broker/store/s.c", "server.h", "broker/store may not use broker (server.h)"),
        (
            "node/n.c",
            "../broker/server.h",
            "node may not use broker (../broker/server.h)",
        ),
        ("client/lib/l.c", "../ctl/ctl.h", "client/lib may not use client/ctl"),
        ("broker/b.c", "hiredis/hiredis.h", "only common/redis may include"),
        ("node/n.c", "msgpack.h", "only common/proto may include"),
        ("common/other/o.c", "base/leaf.h", "stands on no floor"),
    ],
)
def test_an_include_that_goes_up_or_aside(tree, path, header, said):
    for existing in ("broker/server.h", "client/ctl/ctl.h", "common/base/leaf.h"):
        tree.write(existing, "")
    tree.write(path, f"#include <stdio.h>\n#include <{header}>\n")
    if header.startswith((".", "server", "base")):
        tree.write(path, f'#include "{header}"\n')
    assert said in tree.complaint()


def test_a_circle_of_python_modules_inside_functions_too(tree):
    package = "client/python/src/understudy"
    tree.write(f"{package}/one.py", "from . import two\n")
    tree.write(f"{package}/two.py", "def late():\n    from .one import x\n")
    said = tree.complaint()
    assert "a circle of 2: understudy.one understudy.two" in said


def test_a_build_that_is_not_there_is_no_success(tree):
    tree.commands.append(
        {
            "directory": str(tree.root / "build"),
            "command": "gcc -o gone.o -c gone.c",
            "file": str(tree.root / "node/gone.c"),
        }
    )
    done = tree.floors()
    assert done.returncode == 1
    assert "floors: not built" in done.stderr


def test_a_test_that_is_built_later_is_left_out(tree):
    tree.compile(
        "tests/bench/late.c", "int leaf (void);\nint b (void) { return leaf (); }"
    )
    (tree.root / "build/tests_bench_late.c.o").unlink()
    assert tree.floors().returncode == 0


# --- this tree ------------------------------------------------------------------------

PAGE = ROOT / "docs/architecture.md"


def test_the_page_shows_the_floors_of_the_build():
    done = subprocess.run(
        [PYTHON, "-B", ROOT / "scripts/floors.py", "--draw"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() in PAGE.read_text()


def test_the_page_names_files_that_are_there():
    named = re.findall(r"`([\w/]+\.(?:c|h|py|lua))`", PAGE.read_text())
    package = ROOT / "client/python/src/understudy"
    assert len(named) > 50
    homes = (ROOT, package, ROOT / "common/proto")
    missing = [n for n in named if not any((home / n).exists() for home in homes)]
    assert missing == []
