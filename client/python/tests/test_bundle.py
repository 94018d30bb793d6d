# SPDX-License-Identifier: MIT
"""Which modules travel, and what is missed before anything is sent."""

from __future__ import annotations

import importlib
import py_compile
import sys
from importlib import metadata

import pytest

from understudy import _bundle, _packages
from understudy._bundle import Need, gather, place_of
from understudy._packages import provides
from understudy.exceptions import SerializationError


def files(module, packages=(), function=""):
    return sorted(gather([Need(module)], packages, function).files)


def test_places():
    assert place_of("os") == place_of("sys") == place_of("json.decoder") == "stdlib"
    assert place_of("zipimport") == "stdlib"
    assert place_of("pytest") == "site"
    assert place_of("understudy.decorators") == "provided"
    assert place_of("no_such_module_anywhere") == "missing"


def test_reached_at_any_depth_and_nothing_is_executed(project):
    project("jobs.py", "import one\nimport os, json.decoder\n")
    project("one.py", "def f():\n    from two import g\n    raise SystemExit\n")
    project("two.py", "raise RuntimeError('executed')\nfrom pkg.deep import mod\n")
    project("pkg/__init__.py", "import beside\n")
    project("pkg/deep/__init__.py")
    project("pkg/deep/mod.py", "from . import other\nfrom ..near import x\n")
    project("pkg/deep/other.py")
    project("pkg/near.py", "raise RuntimeError('executed')")
    project("pkg/far.py")
    project("beside.py")
    assert files("jobs") == [
        "beside.py",
        "jobs.py",
        "one.py",
        "pkg/__init__.py",
        "pkg/deep/__init__.py",
        "pkg/deep/mod.py",
        "pkg/deep/other.py",
        "pkg/near.py",
        "two.py",
    ]
    assert not {"one", "two", "pkg"} & set(sys.modules)


def test_namespace_packages_and_star(project):
    project("space/part/mod.py", "from ..sister import *\n")
    project("space/sister/__init__.py", "__all__ = ['inner']\n")
    project("space/sister/inner.py")
    assert files("space.part.mod") == [
        "space/part/mod.py",
        "space/sister/__init__.py",
        "space/sister/inner.py",
    ]


def test_cycles_end(project):
    project("a.py", "import b\n")
    project("b.py", "import a\n")
    assert files("a") == ["a.py", "b.py"]


def test_a_missing_import_is_named_with_its_line(project):
    project("jobs.py", "import os\n\nimport requests_not_here\n")
    with pytest.raises(SerializationError) as caught:
        files("jobs")
    assert str(caught.value) == (
        "`jobs.py` line 3 imports requests_not_here; add it to packages=[…]"
    )


def test_an_installed_package_does_not_count_unless_named(project):
    project("jobs.py", "import helper\n")
    project("helper.py", "from pytest import mark\n")
    with pytest.raises(SerializationError, match="`helper.py` line 1 imports pytest; "):
        files("jobs")
    assert files("jobs", ["PyTest>=1"]) == ["helper.py", "jobs.py"]


def test_what_may_fail_is_not_missed(project):
    project(
        "jobs.py",
        """
        from typing import TYPE_CHECKING
        import sys
        try:
            import not_here_a
        except ImportError:
            not_here_a = None
        if TYPE_CHECKING:
            import not_here_b
        if sys.platform == "win32":
            from not_here_c import x
        def other():
            import not_here_d
        """,
    )
    assert files("jobs", (), "called") == ["jobs.py"]


def test_imports_of_the_called_function_are_firm(project):
    project(
        "jobs.py",
        """
        class Tool:
            def one(self):
                import not_here
            def two(self):
                def inner():
                    import not_here_either
                try:
                    import optional_not_here
                except ImportError:
                    pass
        """,
    )
    with pytest.raises(SerializationError, match="line 4 imports not_here;"):
        files("jobs", (), "Tool.one")
    assert files("jobs", (), "Tool.two") == ["jobs.py"]  # nobody says inner is called
    assert files("jobs", (), "Tool.three") == ["jobs.py"]


def test_only_modules_without_source_that_are_needed_are_refused(project, tmp_path):
    project("jobs.py", "try:\n    import fast\nexcept ImportError:\n    fast = None\n")
    project("strict.py", "import fast\n")
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (tmp_path / f"fast{suffix}").write_bytes(b"\x7fELF")
    assert files("jobs") == ["jobs.py"]
    with pytest.raises(
        SerializationError, match="module fast is compiled .*`strict.py`"
    ):
        files("strict")


def test_sourceless(project, tmp_path):
    project("gone.py", "x = 1\n")
    py_compile.compile(str(tmp_path / "gone.py"), str(tmp_path / "gone.pyc"))
    (tmp_path / "gone.py").unlink()
    project("jobs.py", "import gone\n")
    with pytest.raises(SerializationError, match="module gone has no source"):
        files("jobs")


def test_snapshotted_when_first_bundled_and_anew_after_reload(project, tmp_path):
    project("jobs.py", "version = 1\n")
    jobs = importlib.import_module("jobs")
    assert gather([Need("jobs")], ()).files["jobs.py"] == b"version = 1\n"
    project("jobs.py", "version = 22\n")
    assert gather([Need("jobs")], ()).files["jobs.py"] == b"version = 1\n"
    importlib.reload(jobs)
    assert gather([Need("jobs")], ()).files["jobs.py"] == b"version = 22\n"


def test_a_module_that_does_not_parse_travels_as_it_is(project):
    project("jobs.py", "try:\n    import odd\nexcept SyntaxError:\n    pass\n")
    project("odd.py", "this is not python")
    assert files("jobs") == ["jobs.py", "odd.py"]


class Installed:
    def __init__(self, requires):
        self.requires = requires


@pytest.fixture
def installed(monkeypatch):
    """The distributions of a client that has pandas, and nothing else."""
    known = {
        "pandas": Installed(["numpy>=1.2; python_version > '3'", "x; extra == 'y'"])
    }
    known["numpy"] = Installed(None)

    def distribution(name):
        if name not in known:
            raise metadata.PackageNotFoundError(name)
        return known[name]

    tops = {"pandas": ["pandas"], "numpy": ["numpy"], "requests": ["requests"]}
    monkeypatch.setattr(metadata, "distribution", distribution)
    monkeypatch.setattr(_packages, "_distributions", tops)


def test_packages_provide_what_they_require(installed):
    assert provides("numpy", ["pandas==2"])
    assert provides("pandas", ["Pandas[extra] >= 2"])
    assert not provides("requests", ["pandas"])
    assert not provides("numpy", [])


def test_what_cannot_be_known_is_not_refused(installed):
    assert provides("yaml", ["pyyaml"])  # not installed here: it may bring anything


def test_extras(monkeypatch, installed):
    def distribution(name):
        if name == "requests":
            return Installed(["idna", 'PySocks>=1; extra == "socks"'])
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    assert provides("socks", ["requests[socks]"])  # PySocks is not here to be asked
    assert not provides("socks", ["requests"])
    assert not provides("socks", ["requests[other]"])


def test_names_of_distributions(monkeypatch):
    tops = {"yaml": ["PyYAML"], "space": ["space-one", "space-two"]}
    monkeypatch.setattr(_packages, "_distributions", tops)
    assert _packages.distribution_of("yaml.nodes") == "PyYAML"
    assert _packages.distribution_of("PIL.Image") == "Pillow"
    assert _packages.distribution_of("unknown") == "unknown"
    assert _packages.distribution_of("space.two") == "space-one"  # neither says


def test_advice(project):
    project("mine/__init__.py")
    project("mine/plugin.py")
    assert "module of your own" in _bundle.advice("mine.plugin")
    assert _bundle.advice("distutils.core") == "add setuptools to packages=[…]"
    assert _bundle.advice("json") is None
    assert _bundle.advice("no_such_module") == "add no_such_module to packages=[…]"
    assert _bundle.advice("no_such_module.part") is None  # its parent was there


def test_what_may_swallow_or_leave(project):
    project(
        "jobs.py",
        """
        import contextlib
        with contextlib.suppress(ImportError):
            import not_here_a
        for n in []:
            import not_here_b
        def early(n):
            if n:
                return
            import not_here_c
        match 1:
            case 2:
                import not_here_d
        import distutils
        """,
    )
    assert files("jobs", (), "early") == ["jobs.py"]


def test_generations(project, monkeypatch):
    project("jobs.py", "import helper\n")
    project("helper.py", "def f(): return 1\n")
    jobs = importlib.import_module("jobs")
    gather([Need("jobs")], ())
    number = _bundle.generation()
    assert _bundle.generation() == number
    importlib.reload(jobs.helper)
    assert _bundle.generation() != number
    gather([Need("jobs")], ())
    number = _bundle.generation()
    project("helper.py", "def f(): return 22\n")
    monkeypatch.setattr(_bundle, "_next_look", 0.0)  # as after a while
    assert _bundle.generation() == number  # edited, and not loaded
    exec(
        compile("def f(): return 333", jobs.helper.__file__, "exec"), vars(jobs.helper)
    )
    project("helper.py", "def f(): return 333\n")
    monkeypatch.setattr(_bundle, "_next_look", 0.0)
    assert _bundle.generation() != number
    assert b"333" in gather([Need("jobs")], ()).files["helper.py"]
