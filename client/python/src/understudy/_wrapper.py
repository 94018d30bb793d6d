# SPDX-License-Identifier: MIT
"""What pickling, submitting and the worker know of a decorated function.

understudy.decorators derives its classes from these and stands above everything that
submits. Modules below it recognise a decorated function by its base class here. Uses
nothing of the package.
"""

from __future__ import annotations

from typing import Any, Callable, Tuple


class Wrapper:
    """A decorated function. ``__wrapped__`` is the plain function."""

    __wrapped__: Callable[..., Any]

    def _reduce_by_value(self) -> Tuple[Any, ...]:
        """For pickle, as __reduce__, where no importable name leads to the wrapper."""
        raise NotImplementedError


class BoundWrapper:
    """A decorated method together with its instance (or class)."""

    __slots__ = ()

    __func__: Wrapper
    __self__: Any
