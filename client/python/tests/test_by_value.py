# SPDX-License-Identifier: MIT
"""What a load takes over, and what of it is kept as it is."""

from __future__ import annotations

import contextvars
import functools
import types

import cloudpickle
import pytest

from understudy import _by_value, _pickler
from understudy._bundle import Need
from understudy._pickler import code_imports

PICKLER = _by_value.pickler_class(cloudpickle)


def dumps(obj):
    return _by_value.dumps(PICKLER, obj)


def load(data, keeps=True):
    return _by_value.Unpickler(data, cloudpickle, keeps).load()


def make_class():
    class Conf:
        values = [1]

        def get(self):
            return self.values

    return Conf


def test_the_caller_keeps_its_class():
    cls = make_class()
    data, has_code = dumps(cls())
    values = cls.values = [2]
    loaded = load(data)
    assert has_code
    assert type(loaded) is cls
    assert cls.values is values


def test_a_worker_takes_the_class_as_it_is_now():
    cls = make_class()
    data, _ = dumps(cls())
    cls.values = [2]
    assert type(load(data, keeps=False)) is cls
    assert cls.values == [1]


def test_a_class_that_is_not_here_is_made():
    cls = make_class()
    data, _ = dumps(cls())
    cls.__del__ = None
    key = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.pop(cls)
    del cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[key]
    made = load(data)
    assert type(made) is not cls
    assert made.get() == [1]
    assert type(load(data)) is type(made)
    assert not _by_value._half_made


def test_names_of_plain_data_and_modules_are_no_code():
    assert dumps([functools.lru_cache, {"a": (1, 2.5)}])[1] is False
    assert dumps(lambda: 1)[1] is True


def test_a_variable_has_the_value_of_the_call():
    variable = contextvars.ContextVar("v", default=1)
    variable.set(2)
    data, _ = dumps(variable)
    assert load(data) is variable
    key = _by_value._keys.pop(id(variable))
    del _by_value._objects[key]
    copy = load(data)
    assert copy is not variable
    assert copy.get() == 2
    assert load(data) is copy


def test_file_names_stay():
    def f():
        return lambda: 1

    copy = load(dumps(f)[0])
    assert copy.__code__.co_filename == copy().__code__.co_filename == __file__


def imports(function):
    found = code_imports(function.__code__, {})
    return {need.module: need.certain for need in found}


def test_which_imports_certainly_run():
    source = """
def f(a):
    import one
    if a:
        import two
    else:
        import three
    while a:
        import four
    try:
        import five
    except ImportError:
        pass
    with a:
        import six
    def inner():
        import seven
    import eight
    if a:
        return one
    import nine
"""
    names = {}
    exec(source, names)
    f = names["f"]
    certain = {name for name, runs in imports(f).items() if runs}
    assert certain == {"one", "eight"}
    assert len(imports(f)) == 9


def test_a_rewritten_assert_needs_no_pytest():
    def check(n):
        assert n < 3
        return n

    assert "@pytest_ar" in check.__code__.co_names
    needs = _pickler.dumps(check).needs
    assert Need("_pytest.assertion.rewrite") not in needs
    assert not any(need.module.startswith("_pytest") for need in needs)


def test_a_module_without_spec_or_file_goes_by_value():
    module = types.ModuleType("made_here")
    module.value = 3
    assert load(dumps(module)[0]).value == 3


def test_what_is_never_for_jobs():
    from understudy import Executor
    from understudy.exceptions import SerializationError

    with pytest.raises(SerializationError, match="inside a job"):
        _pickler.dumps([Executor("c")])
