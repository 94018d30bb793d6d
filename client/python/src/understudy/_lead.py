# SPDX-License-Identifier: MIT
"""Lead: shell commands for the nodes of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from understudy._options import DEFAULT_CHANNEL, make_options

if TYPE_CHECKING:
    from understudy._call import Caller


class Lead:
    """Lead("calculator").shell('echo "test"') gives a Result whose value is 'test\\n'.

    Takes the keywords of the decorator; with packages= the command finds their
    programs.
    """

    def __init__(self, channel: str = DEFAULT_CHANNEL, **keywords: Any) -> None:
        self._options = make_options(channel, **keywords)
        self._callers: dict[bool, Caller] = {}

    def shell(self, command: str, block: Optional[bool] = None) -> Any:
        """Runs a command line with /bin/sh. The value is its standard output: text
        where that is UTF-8, bytes otherwise; the log has its standard error too. An
        exit code other than 0 is a ShellError. block=True prints the log as it is
        written and gives the value instead of a Result."""
        waits = self._options.block if block is None else bool(block)
        caller = self._callers.get(waits)
        if caller is None:
            from understudy._call import Caller  # needs _core, which nodes lack

            caller = Caller(self._options._replace(block=waits))
            self._callers[waits] = caller
        result = caller.shell(command)
        return result._block() if waits else result
