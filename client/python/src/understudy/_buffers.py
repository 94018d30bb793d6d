# SPDX-License-Identifier: MIT
"""Large buffers, which travel beside the pickle that they belong to.

What pickle takes out of band (protocol 5: arrays, tables), and bytes, go as blobs of
their own where they have a MiB or more: they are copied once, stored once, sent to a
node once, and mapped into the worker. Client and worker both use this.
"""

from __future__ import annotations

import array
import io
import pickle
from itertools import islice
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Tuple

from understudy.exceptions import PayloadTooLarge, SerializationError

LEAST = 1 << 20
ROOM = 10  # of the 15 blobs that a job may name; its code takes up to 5

# How many objects are looked at in search of bytes, which pickle leaves where they are.
_SEARCH_COUNT = 1000
_PLAIN = frozenset((int, str, float, bool, type(None)))
_BYTES = frozenset((bytes, bytearray))


class Limits(NamedTuple):
    """Of the buffers of one envelope. room: how many a job may name."""

    room: int
    largest: int
    together: int


class Apart:
    """Takes the large buffers out of one pickle, whose buffer_callback it is."""

    def __init__(self, holds_bytes: bool, stay: FrozenSet[int] = frozenset()) -> None:
        """stay: numbers of those that are to stay in the pickle."""
        self.holds_bytes = holds_bytes
        self.taken: List[memoryview] = []
        self._stay = stay
        self._sizes: List[int] = []  # of all that are large
        self._ids: Dict[int, Tuple[str, int, pickle.PickleBuffer]] = {}

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """True: it stays in the pickle."""
        try:
            view = buffer.raw()
        except BufferError:  # it does not stand in one piece
            return True
        if view.nbytes < LEAST:
            return True
        self._sizes.append(view.nbytes)
        if len(self._sizes) - 1 in self._stay:
            return True
        self.taken.append(view)
        return False

    def persistent_id(self, obj: Any) -> Optional[Tuple[str, int, pickle.PickleBuffer]]:
        """For bytes that go apart; what Unpickler makes them from again."""
        if type(obj) not in _BYTES or len(obj) < LEAST:
            return None
        known = self._ids.get(id(obj))
        if known is None:
            number = len(self._ids)
            known = type(obj).__name__, number, pickle.PickleBuffer(obj)
            self._ids[id(obj)] = known  # which keeps obj, so its id, alive
        return known

    def forget(self) -> None:
        """What a pickle that failed has left out."""
        del self.taken[:], self._sizes[:]
        self._ids.clear()

    def of_largest(self, room: int) -> Optional[Apart]:
        """One that takes only the largest, if there were more than room."""
        if len(self._sizes) <= room:
            return None
        order = sorted(range(len(self._sizes)), key=lambda n: -self._sizes[n])
        return Apart(self.holds_bytes, frozenset(order[room:]))

    def check(self, limits: Limits, what: str) -> None:
        sizes = [view.nbytes for view in self.taken]
        if sizes:
            check(sizes, limits, what)


def check(sizes: Iterable[int], limits: Limits, what: str) -> None:
    """PayloadTooLarge where buffers of these sizes do not go."""
    sizes = list(sizes)
    largest = max(sizes, default=0)
    if largest > limits.largest:
        raise PayloadTooLarge(
            f"a buffer of {what} has {largest} bytes; the limit is {limits.largest} "
            "(max-buffer of the broker, or half of the memory of its store)"
        )
    if sum(sizes) > limits.together:
        raise PayloadTooLarge(
            f"the buffers of {what} have {sum(sizes)} bytes; the limit is "
            f"{limits.together} (max-buffers of the broker, or half of the memory of "
            "its store)"
        )


def are_small(objects: Iterable[Any]) -> bool:
    """Whether all are numbers, str and the like, which is soon said."""
    return _PLAIN.issuperset(map(type, objects))


def holds_bytes(obj: Any) -> bool:
    """Whether there are large bytes in what a call is given or returns: directly, or in
    lists, tuples, sets and dicts."""
    if type(obj) in _PLAIN:
        return False
    waiting = [obj]
    for _ in range(_SEARCH_COUNT):
        if not waiting:
            break
        part = waiting.pop()
        kind = type(part)
        if kind in _PLAIN:
            continue
        if kind in _BYTES:
            if len(part) >= LEAST:
                return True
        elif kind is array.array:
            if len(part) * part.itemsize >= LEAST:
                return True
        elif kind is dict:
            waiting += islice(part.values(), _SEARCH_COUNT)
        elif kind in (list, tuple, set, frozenset):
            waiting += islice(part, _SEARCH_COUNT)
    return False


class Bytes:
    """Mixed into a pickler: large bytes go apart."""

    apart: Apart

    def persistent_id(self, obj: Any) -> Any:
        return self.apart.persistent_id(obj)


class Rebuild:
    """Mixed into an unpickler: bytes that went apart are bytes again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made: Dict[int, Any] = {}

    def persistent_load(self, pid: Any) -> Any:
        kind, number, buffer = pid
        if number not in self._made:
            make = {"bytes": bytes, "bytearray": bytearray}[kind]
            self._made[number] = make(buffer)
        return self._made[number]


class _Pickler(Bytes, pickle.Pickler):
    pass


class _Unpickler(Rebuild, pickle.Unpickler):
    pass


class _DataUnpickler(_Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise SerializationError(
            f"the result is a pickle that names {module}.{name}, and trust='data' "
            "loads data alone"
        )


def dumps(obj: Any, protocol: int, apart: Optional[Apart]) -> bytes:
    """A pickle of what both ends can import."""
    if apart is None or not apart.holds_bytes:
        return pickle.dumps(obj, protocol, buffer_callback=apart)
    file = io.BytesIO()
    pickler = _Pickler(file, protocol, buffer_callback=apart)
    pickler.apart = apart
    pickler.dump(obj)
    return file.getvalue()


def loads(data: bytes, buffers: Iterable[Any] = ()) -> Any:
    if not buffers:
        return pickle.loads(data)
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


def loads_data(data: bytes, buffers: Iterable[Any]) -> Any:
    """The same for a pickle that nobody vouches for: it may name no function or class,
    which leaves lists, dicts, bytes and the like."""
    return _DataUnpickler(io.BytesIO(data), buffers=buffers).load()
