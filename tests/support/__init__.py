# SPDX-License-Identifier: MIT
"""What the tests share: real processes in temporary directories, waited for by
condition, and nothing left behind."""

from .clock import SteppedClock
from .paths import BIN, PATIENCE, PYTHON, ROOT, UV
from .processes import (
    Process,
    StartError,
    alive,
    clean_environment,
    free_port,
    wait_for,
)
from .proxy import RedisProxy
from .redis import Redis, RedisServer
from .services import Broker, Client, Node
from .wheels import WheelIndex

__all__ = [
    "BIN",
    "PATIENCE",
    "PYTHON",
    "ROOT",
    "UV",
    "Broker",
    "Client",
    "Node",
    "Process",
    "Redis",
    "RedisProxy",
    "RedisServer",
    "StartError",
    "SteppedClock",
    "WheelIndex",
    "alive",
    "clean_environment",
    "free_port",
    "wait_for",
]
