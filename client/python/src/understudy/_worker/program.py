# SPDX-License-Identifier: MIT
"""__main__ of a worker: functions and classes that came by value stand there under
their names, as they do in the program that they come from.

So the job can pickle them by name for processes that it forks, such as those of a
ProcessPoolExecutor. Processes that multiprocessing starts anew (spawn, forkserver) run
the file of __main__ first: they are given one that brings all of it, by value.
"""

from __future__ import annotations

import os
import sys
from types import FunctionType, ModuleType
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

from understudy import _by_value, _context
from understudy._worker import bundles

_Dumps = Callable[[Any], Tuple[bytes, bool]]


class Program(ModuleType):
    def __init__(self) -> None:
        super().__init__("__main__")
        self.__dict__["_understudy"] = _Carrier()

    @property
    def __file__(self) -> str:  # type: ignore[override]
        carrier: _Carrier = self.__dict__["_understudy"]
        path = carrier.file(_own(self.__dict__))
        if path is None:
            raise AttributeError("__file__")
        return path


class _Carrier:
    """A file in memory, for whoever asks for the file of __main__."""

    def __init__(self) -> None:
        self.dumps: Optional[_Dumps] = None
        self.cloudpickle = ""
        self._fd = -1
        self._text = ""

    def file(self, names: Dict[str, Any]) -> Optional[str]:
        if self.dumps is None or not names:
            return None
        text = (
            "from understudy._worker import program\n"
            f"program.take(globals(), {self.cloudpickle!r}, {self._pickled(names)!r})\n"
        )
        if text != self._text:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = os.memfd_create("understudy-main")
            os.write(self._fd, text.encode())
            self._text = text
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def _pickled(self, names: Dict[str, Any]) -> bytes:
        """What cannot be pickled stays behind, as it would in the program's file."""
        assert self.dumps is not None
        try:
            return self.dumps(names)[0]
        except Exception:
            kept = {}
            for name, value in names.items():
                try:
                    self.dumps(value)
                    kept[name] = value
                except Exception:  # noqa: S110
                    pass
            return self.dumps(kept)[0]


def install() -> None:
    """Called in a worker."""
    if not isinstance(sys.modules.get("__main__"), Program):
        sys.modules["__main__"] = Program()


def publish(made: Iterable[Any], dumps: _Dumps, cloudpickle: str) -> None:
    """Puts what was made by a load under its name. cloudpickle: the folder of what it
    takes to pickle by value."""
    main = sys.modules.get("__main__")
    if not isinstance(main, Program):
        return
    names = main.__dict__
    carrier: _Carrier = names["_understudy"]
    carrier.dumps, carrier.cloudpickle = dumps, cloudpickle
    for obj in made:
        if getattr(obj, "__module__", None) not in _by_value.MAIN:
            continue
        if isinstance(obj, FunctionType):
            names.update(_own(obj.__globals__))
        name = getattr(obj, "__qualname__", "")
        if name.isidentifier() and (
            not isinstance(obj, FunctionType) or name not in obj.__globals__
        ):
            names[name] = obj


def _own(names: Dict[str, Any]) -> Dict[str, Any]:
    return {
        name: value
        for name, value in names.items()
        if not name.startswith("__") and name != "_understudy"
    }


def take(names: Dict[str, Any], cloudpickle: str, data: bytes) -> None:
    """In a process that a job has started anew."""
    _context.in_worker = True
    modules = bundles.import_aside(cloudpickle, "cloudpickle")
    with bundles.shadowed(modules):
        made = _by_value.Unpickler(data, modules["cloudpickle"], keeps=False).load()
    names.update(made)
