# SPDX-License-Identifier: MIT
"""Where the broker is: the keywords that Understudy, Lead, Executor, Result and the
decorator share."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Union
from urllib.parse import quote

from understudy.exceptions import InvalidArgument

PathLike = Union[str, "os.PathLike[str]"]
DEFAULT_CHANNEL = "default"
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", re.ASCII)


class Settings(NamedTuple):
    """Addresses of brokers, or the URL of the Redis whose registry lists them, or
    neither: then UNDERSTUDY_BROKER, the configuration file or the default decides."""

    broker: Optional[str] = None
    redis: Optional[str] = None
    owner: Optional[str] = None  # None: UNDERSTUDY_OWNER and the like, or the user
    key: Optional[str] = None  # files; None: UNDERSTUDY_KEY and the like
    cluster: Optional[str] = None


def settings_for(taker: Any, where: Dict[str, Any]) -> Settings:
    """Does settings_of for a function that took where besides keywords of its own.
    TypeError names a keyword that neither has, and the one that may have been meant."""
    theirs, known = taker.__kwdefaults__, settings_of.__kwdefaults__ or {}
    for name in where:
        if name not in known:
            raise TypeError(_no_keyword(name, [*theirs, *known]))
    return settings_of(**where)


def _no_keyword(name: str, known: List[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"unexpected keyword argument {name!r}; {hint}"


def settings_of(
    *,
    broker: Optional[str] = None,
    host: Optional[str] = None,
    port: Optional[int] = None,
    db: Optional[int] = None,
    password: Optional[str] = None,
    username: Optional[str] = None,
    unix_socket_path: Optional[str] = None,
    owner: Optional[str] = None,
    key: Optional[PathLike] = None,
    cluster: Optional[PathLike] = None,
) -> Settings:
    """Any Redis keyword selects the registry in that Redis instead of an address."""
    more = {"owner": owner, "key": _file("key", key)}
    more["cluster"] = _file("cluster", cluster)
    if owner is not None and (not isinstance(owner, str) or not owner.strip()):
        raise InvalidArgument(f"owner={owner!r} is not a name")
    named = (host, port, db, password, username, unix_socket_path)
    if all(value is None for value in named):
        return Settings(broker=_broker_of(broker), **more)
    if broker is not None:
        raise InvalidArgument(
            "give either broker= or the address of a Redis (host=, port=, db=, …), "
            "not both"
        )
    if unix_socket_path is not None and (host is not None or port is not None):
        raise InvalidArgument("give either unix_socket_path= or host= and port=")
    if username is not None and password is None:
        raise InvalidArgument("username= needs password=")
    db_number = _number("db", 0 if db is None else db, 0, 1_000_000)
    if unix_socket_path is not None:
        return Settings(
            redis=_unix_url(unix_socket_path, db_number, username, password), **more
        )
    where = "localhost" if host is None else host
    if not isinstance(where, str) or not where or re.search(r"[\s/@?#]", where):
        raise InvalidArgument(f"host={host!r} is not a host name")
    port_number = _number("port", 6379 if port is None else port, 1, 65535)
    where = f"[{where}]" if ":" in where and not where.startswith("[") else where
    user = _user(username, password)
    url = f"redis://{user}{where}:{port_number}/{db_number}"
    return Settings(redis=url, **more)


def _file(name: str, path: Optional[PathLike]) -> Optional[str]:
    """Whole, since a job or a thread may look from another directory; key="none" means
    none."""
    if path is None or (name == "key" and path == "none"):
        return None if path is None else "none"
    try:
        return os.path.abspath(os.path.expanduser(os.fsdecode(path)))
    except TypeError:
        raise InvalidArgument(f"{name}={path!r} is not the path of a file") from None


def _broker_of(broker: Optional[str]) -> Optional[str]:
    if broker is not None and (not isinstance(broker, str) or not broker.strip()):
        raise InvalidArgument(
            f"broker={broker!r} is not an address like tcp://host:7420"
        )
    for address in broker.split(",") if broker is not None else ():
        if re.fullmatch(r"\s*[\w.-]+:\d+\s*", address):
            raise InvalidArgument(f"broker={broker!r}: write tcp://{address.strip()}")
    return broker


def _unix_url(
    path: str, db: int, username: Optional[str], password: Optional[str]
) -> str:
    url = f"unix://{quote(os.path.abspath(path))}?db={db}"
    if username is not None:
        url += f"&username={quote(username, safe='')}"
    if password is not None:
        url += f"&password={quote(password, safe='')}"
    return url


def _user(username: Optional[str], password: Optional[str]) -> str:
    if password is None:
        return ""
    return f"{quote(username or '', safe='')}:{quote(password, safe='')}@"


def _number(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"{name}={value!r} is not a whole number")
    if not low <= value <= high:
        raise InvalidArgument(f"{name}={value} is not between {low} and {high}")
    return value


def check_channel(channel: object) -> str:
    if not isinstance(channel, str) or not _CHANNEL.match(channel):
        raise InvalidArgument(
            f"{channel!r} is not a channel name: 1 to 128 letters, digits, '.', '_' or "
            "'-', beginning with a letter or digit"
        )
    return channel
