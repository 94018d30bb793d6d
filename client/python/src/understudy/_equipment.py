# SPDX-License-Identifier: MIT
"""What a job finds besides its code: env=, cwd=, files=, initializer=.

Files and initializer travel as bundles of their own, under the names FILES and SETUP,
which the worker knows. They are read at each call: what has changed goes anew.
"""

from __future__ import annotations

import os
import re
import threading
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from understudy import _envelope
from understudy._envelope import FILES, SETUP
from understudy.exceptions import InvalidArgument, PayloadTooLarge, SerializationError

if TYPE_CHECKING:
    from understudy import _core

Files = Union[Sequence[str], Mapping[str, Union[str, bytes]]]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
# The interpreter and the loader have read these before a job can set them. The library
# refuses the same (us_job_add_env); here it is told where the keyword stands.
_TOO_LATE = re.compile(r"PYTHON|LD_|MALLOC_|GLIBC_TUNABLES|VIRTUAL_ENV")
_FILES_MOST = 10_000


class Equipment:
    """One for each use of the keywords."""

    def __init__(
        self,
        env: Mapping[str, str],
        cwd: Optional[str],
        files: Files,
        initializer: Optional[Callable[..., object]],
        initargs: Sequence[Any],
    ) -> None:
        self.env = _checked_env(env)
        self.cwd = _checked_cwd(cwd)
        self._files = _checked_files(files)
        if initializer is not None and not callable(initializer):
            raise InvalidArgument(f"initializer={initializer!r} is not callable")
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._setup = b""  # of which this was made:
        self._made: Optional[_core.Blob] = None
        self._lock = threading.Lock()
        self._stamp: Tuple[Any, ...] = ()
        self._bundle: Optional[_core.Blob] = None

    def blobs(
        self, setup: Callable[[Any, Sequence[Any]], Any]
    ) -> Tuple[Tuple[_core.Blob, ...], Optional[_core.Blob]]:
        """All that the job needs besides its code, and what sets its worker up.
        setup: makes the body of a call. SerializationError."""
        from understudy import _core

        blobs: List[_core.Blob] = []
        made: Optional[_core.Blob] = None
        if self._initializer is not None:
            body = setup(self._initializer, self._initargs)
            made = self._made
            if made is None or body.data != self._setup:
                made = _core.Blob(_envelope.encode_bundle({SETUP: body.data}))
                self._setup, self._made = body.data, made
            blobs += body.blobs
        if self._files:
            blobs.append(self._packed())
        return tuple(blobs), made

    def _packed(self) -> _core.Blob:
        from understudy import _core

        with self._lock:
            stamp = tuple(map(_stamp, self._files))
            if self._bundle is None or stamp != self._stamp:
                content = {f"{FILES}/{file.name}": _read(file) for file in self._files}
                self._bundle = _core.Blob(_envelope.encode_bundle(content))
                self._stamp = stamp
            return self._bundle

    def check(self, limit: int) -> None:
        """PayloadTooLarge where the files are over it."""
        size = sum(_size(file) for file in self._files)
        if size > limit:
            raise PayloadTooLarge(
                f"files= has {size} bytes; the limit is {limit} (max-payload)"
            )


class _File(NamedTuple):
    name: str  # in the scratch directory
    path: str  # here; "" where the content is given
    content: bytes


def _checked_env(env: Mapping[str, str]) -> Tuple[Tuple[str, str], ...]:
    if not isinstance(env, Mapping):
        raise InvalidArgument(f"env={env!r} is not a mapping of names to texts")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgument(f"env={{{name!r}: {value!r}}}: both must be texts")
        if not _NAME.match(name) or "\0" in value:
            raise InvalidArgument(f"{name!r} cannot be an environment variable")
        if _TOO_LATE.match(name):
            raise InvalidArgument(
                f"env= cannot set {name}: the interpreter and its loader have read it "
                "before a job begins; set it in a program that the job starts"
            )
    return tuple(sorted(env.items()))


def _checked_cwd(cwd: Optional[str]) -> Optional[str]:
    if cwd is None:
        return None
    path = os.fspath(cwd)
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
        raise InvalidArgument(f"cwd={cwd!r} is not an absolute path on the node")
    return path


def _checked_files(files: Files) -> Tuple[_File, ...]:
    if isinstance(files, (str, bytes)):
        raise InvalidArgument(f"files={files!r} is not a list; write [{files!r}]")
    if isinstance(files, Mapping):
        given = list(files.items())
    else:
        given = [(os.path.basename(os.fspath(path)), path) for path in files]
    found: Dict[str, _File] = {}
    for name, source in given:
        for file in _expand(_checked_name(name), source):
            if file.name in found:
                raise InvalidArgument(f"files= has two of the name {file.name!r}")
            found[file.name] = file
    if len(found) > _FILES_MOST:
        raise InvalidArgument(f"files= has {len(found)} files, over {_FILES_MOST}")
    return tuple(found.values())


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or any(
        part in ("", ".", "..") for part in name.split("/")
    ):
        raise InvalidArgument(
            f"{name!r} in files= is not a name below the job's folder"
        )
    return name


def _expand(name: str, source: Any) -> List[_File]:
    """A folder stands for all files in it."""
    if isinstance(source, bytes):
        return [_File(name, "", source)]
    path = os.path.abspath(os.fspath(source))
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise InvalidArgument(f"{path} in files= is not a file")
        return [_File(name, path, b"")]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        below = os.path.relpath(folder, path)
        for each in sorted(names):
            inner = os.path.normpath(os.path.join(name, below, each))
            found.append(_File(inner, os.path.join(folder, each), b""))
    return found


def _stamp(file: _File) -> Any:
    if not file.path:
        return None
    try:
        found = os.stat(file.path)
        return found.st_mtime_ns, found.st_size, found.st_ino
    except OSError as error:
        raise SerializationError(f"{file.path} in files=: {error.strerror}") from error


def _size(file: _File) -> int:
    return _stamp(file)[1] if file.path else len(file.content)


def _read(file: _File) -> bytes:
    if not file.path:
        return file.content
    try:
        with open(file.path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise SerializationError(f"{file.path} in files=: {error.strerror}") from error
