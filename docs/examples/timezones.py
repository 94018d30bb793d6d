# SPDX-License-Identifier: MIT
"""A job that needs a package: it is installed where the job runs, and only for it."""

from understudy.decorators import understudy


class TimeZoneTool:
    """On the default channel; waits for the value."""

    @understudy(packages=["pytz"], block=True)
    def eastern(self):
        from pytz import timezone

        return timezone("US/Eastern").zone
