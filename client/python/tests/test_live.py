# SPDX-License-Identifier: MIT
"""Whether a loaded module is what a source makes."""

from __future__ import annotations

import types

import pytest

from understudy._live import differences

FILE = "/somewhere/mod.py"
SOURCE = """
import functools
LIMIT = 3
names = []
def f(n):
    return [n + 1 for _ in range(n)]
@functools.lru_cache
def g(n):
    return n
class C:
    def m(self): return 1
    @property
    def p(self): return 2
    @staticmethod
    def s(): return 3
    @classmethod
    def c(cls): return 4
    class Inner:
        def m(self): return 5
"""


def load(source=SOURCE):
    module = types.ModuleType("mod")
    exec(compile(source, FILE, "exec"), vars(module))
    return module


def count(source, module=None):
    return differences(module or load(), source.encode(), FILE)


def test_the_same():
    assert count(SOURCE) == 0
    assert count("\n# moved down\n\n" + SOURCE + "# and a comment\n") == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("n + 1", "n + 2"),
        ("return n\n", "return -n\n"),
        ("return 1", "return 'x'"),
        ("return 2", "return 22"),
        ("return 3", "return 33"),
        ("return 4", "return 44"),
        ("return 5", "return 55"),
        ("LIMIT = 3", "LIMIT = 4"),
    ],
)
def test_one_edit(old, new):
    assert old in SOURCE
    assert count(SOURCE.replace(old, new)) == 1


def test_what_cannot_be_compared_is_not_counted():
    assert count(SOURCE + "def added(): pass\nOTHER = 1\nnames = [1]\n") == 0
    module = load()
    module.f = len
    module.LIMIT = "of another type"
    assert count(SOURCE, module) == 0


def test_a_source_that_does_not_parse_is_not_it():
    assert count("def f(:\n") == 1
