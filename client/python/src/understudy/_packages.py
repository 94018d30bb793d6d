# SPDX-License-Identifier: MIT
"""Which distribution has a module, and whether packages= bring it, as far as can be
known from what is installed here.
"""

from __future__ import annotations

import re
from typing import (
    Dict,
    FrozenSet,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class _Requirement(NamedTuple):
    name: str
    extras: FrozenSet[str]
    marker: str


def _requirement(text: str) -> _Requirement:
    found = _REQUIREMENT.match(text)
    if found is None:
        return _Requirement("", frozenset(), "")
    extras = frozenset(normal(part) for part in (found[2] or "").split(",") if part)
    return _Requirement(normal(found[1]), extras, text.partition(";")[2])


_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")

# What the standard library of newer Pythons lacks, and which package has it.
MOVED = {"distutils": "setuptools"}
# Well-known ones whose modules have another name, where they are not installed here.
_KNOWN = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "PIL": "Pillow",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "socks": "PySocks",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
    **MOVED,
}

_distributions: Optional[Dict[str, List[str]]] = None


def _distributions_of(top: str) -> List[str]:
    """Names of the installed distributions that hold the top-level module."""
    global _distributions
    if _distributions is None:
        from importlib import metadata

        listing = metadata.packages_distributions()
        _distributions = {
            module: list(dict.fromkeys(names)) for module, names in listing.items()
        }
    return _distributions.get(top, [])


def distribution_of(module: str) -> str:
    """What to name in packages= for a module: the distribution that has it here, else
    its own name."""
    top = module.partition(".")[0]
    names = _distributions_of(top) or [_KNOWN.get(top, top)]
    return next((name for name in names if _has(name, module)), names[0])


def _has(distribution: str, module: str) -> bool:
    """Whether the files of a distribution hold a module; several may share a top-level
    name."""
    from importlib import metadata

    try:
        files = metadata.distribution(distribution).files or ()
    except metadata.PackageNotFoundError:
        return False
    path = module.replace(".", "/")
    return any(str(file).startswith((f"{path}/", f"{path}.")) for file in files)


def _closure(requirements: Iterable[str]) -> Tuple[Set[str], bool]:
    """The required distributions with all they require in turn, as installed here; and
    whether this is the whole of it: what was named, or belongs to an extra that was
    named, is installed."""
    from importlib import metadata

    known: Set[Tuple[str, FrozenSet[str]]] = set()
    waiting = [(_requirement(text), True) for text in requirements]
    complete = True
    while waiting:
        (name, extras, _), named = waiting.pop()
        if (name, extras) in known:
            continue
        known.add((name, extras))
        try:
            requires = metadata.distribution(name).requires or ()
        except metadata.PackageNotFoundError:
            complete = complete and not named
            continue
        for text in requires:
            further = _requirement(text)
            extra = _EXTRA.search(further.marker)
            if extra is None or normal(extra[1]) in extras:
                waiting.append((further, extra is not None))
    return {name for name, _ in known}, complete


def provides(top: str, packages: Sequence[str]) -> bool:
    """Whether packages= bring the module, as far as can be known here."""
    if normal(top) in {_requirement(text).name for text in packages}:
        return True
    if not packages:
        return False
    known, complete = _closure(packages)
    return not complete or not known.isdisjoint(map(normal, _distributions_of(top)))
