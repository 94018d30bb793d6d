# SPDX-License-Identifier: MIT
"""Where things are."""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The programs under test; scripts/test names those built with sanitizers here.
BIN = Path(os.environ.get("UNDERSTUDY_BIN_DIR") or ROOT / "build" / "bin")

# The Python a user would run scripts with.
_venv = ROOT / ".venv" / "bin" / "python"
PYTHON = _venv if _venv.exists() else Path(sys.executable)

# The package as built, for a Python that has no .venv: links to sources, and _core.
PACKAGE = Path(os.environ.get("UNDERSTUDY_PACKAGE_DIR") or ROOT / "build" / "python")

_uv = shutil.which("uv", path=f"{PYTHON.parent}:/usr/local/bin:/usr/bin")
UV = Path(_uv) if _uv else None

# The one that the broker would take for its private Redis.
REDIS_SERVER = "redis-server" if shutil.which("redis-server") else "valkey-server"
REDIS_CLI = REDIS_SERVER.replace("server", "cli")

# Sanitizers slow everything down; waits are stretched by this factor.
PATIENCE = float(os.environ.get("UNDERSTUDY_TEST_PATIENCE", "1"))
