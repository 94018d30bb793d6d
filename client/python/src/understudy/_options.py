# SPDX-License-Identifier: MIT
"""How a job runs: the keywords that the decorator, Executor and Lead share."""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence, Tuple

from understudy._equipment import Equipment, Files
from understudy._settings import DEFAULT_CHANNEL, Settings, check_channel, settings_for
from understudy.exceptions import InvalidArgument

__all__ = ["DEFAULT_CHANNEL", "Options", "change_options", "make_options"]

# After the soft limit has raised in the job, it has this long to end.
_LAST_SECONDS = 5.0


class Options(NamedTuple):
    channel: str
    settings: Tuple[Optional[str], ...] = Settings()
    block: bool = False
    queue: bool = True
    packages: Tuple[str, ...] = ()
    constraints: Tuple[str, ...] = ()
    python: Optional[str] = None
    retries: int = 0
    soft_limit: Optional[float] = None
    hard_limit: Optional[float] = None
    expires: Optional[float] = None
    fresh: bool = False
    trust: bool = True
    equipment: Optional[Equipment] = None


def make_options(
    channel: str,
    *,
    block: bool = False,
    queue: bool = True,
    packages: Sequence[str] = (),
    constraints: Sequence[str] = (),
    python: Optional[str] = None,
    retries: int = 0,
    timeout: Optional[float] = None,
    hard_timeout: Optional[float] = None,
    expires: Optional[float] = None,
    isolation: Optional[str] = None,
    trust: str = "all",
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[str] = None,
    files: Files = (),
    initializer: Optional[Callable[..., object]] = None,
    initargs: Sequence[Any] = (),
    **where: Any,
) -> Options:
    _seconds("timeout", timeout)
    _seconds("hard_timeout", hard_timeout)
    if timeout is not None and hard_timeout is None:
        hard_timeout = timeout + _LAST_SECONDS
    if isolation not in (None, "", "fresh"):
        raise InvalidArgument(f"isolation={isolation!r} is neither None nor 'fresh'")
    return Options(
        check_channel(channel),
        settings_for(make_options, where),
        bool(block),
        bool(queue),
        _texts("packages", packages),
        _texts("constraints", constraints),
        _minor_version(python),
        _retries(retries),
        timeout,
        hard_timeout,
        _seconds("expires", expires),
        isolation == "fresh",
        trusts(trust),
        _equipment(env, cwd, files, initializer, initargs),
    )


def _equipment(
    env: Optional[Mapping[str, str]],
    cwd: Optional[str],
    files: Files,
    initializer: Optional[Callable[..., object]],
    initargs: Sequence[Any],
) -> Optional[Equipment]:
    if not (env or cwd is not None or files or initializer is not None or initargs):
        return None
    return Equipment(env or {}, cwd, files, initializer, initargs)


# The options that a keyword sets, where it has not their name.
_SET_BY = {
    "timeout": ("soft_limit", "hard_limit"),
    "hard_timeout": ("hard_limit",),
    "isolation": ("fresh",),
    **dict.fromkeys(("env", "cwd", "files", "initializer", "initargs"), ("equipment",)),
}


def change_options(
    options: Options, channel: Optional[str] = None, **keywords: Any
) -> Options:
    """The options with what these keywords say; the rest stays. Keywords that say where
    the broker is count together."""
    made = make_options(options.channel if channel is None else channel, **keywords)
    names = {"channel"}
    for keyword in keywords:
        own = (keyword,) if keyword in Options._fields else ("settings",)
        names.update(_SET_BY.get(keyword, own))
    return options._replace(**{name: getattr(made, name) for name in names})


def trusts(trust: str) -> bool:
    if trust not in ("all", "data"):
        raise InvalidArgument(f"trust={trust!r} is neither 'all' nor 'data'")
    return trust == "all"


def _texts(name: str, values: Sequence[str]) -> Tuple[str, ...]:
    if isinstance(values, (str, bytes)):
        raise InvalidArgument(f"{name}={values!r} is not a list; write [{values!r}]")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            raise InvalidArgument(
                f"{text!r} in {name} is not a requirement like 'pytz'"
            )
    return texts


def _minor_version(python: Optional[str]) -> Optional[str]:
    if python is None:
        return None
    if not isinstance(python, str) or not re.match(r"3\.\d{1,2}\Z", python, re.ASCII):
        raise InvalidArgument(f"python={python!r} is not a minor version like '3.11'")
    return python


def _retries(retries: int) -> int:
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise InvalidArgument(f"retries={retries!r} is not a whole number")
    if not 0 <= retries <= 100:
        raise InvalidArgument(f"retries={retries} is not between 0 and 100")
    return retries


def _seconds(name: str, value: Optional[float]) -> Optional[float]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgument(f"{name}={value!r} is not a number of seconds")
    if not math.isfinite(value) or value <= 0:
        raise InvalidArgument(f"{name}={value} is not a positive number of seconds")
    return value
