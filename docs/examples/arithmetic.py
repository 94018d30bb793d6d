# SPDX-License-Identifier: MIT
"""A module as a user writes it: nothing of it is installed where it runs."""

from understudy.decorators import understudy


class Adder:
    """Adds elsewhere."""

    @understudy("calculator")
    def add(self, a, b):
        self.logger.info("Adding %s to %s", a, b)
        return a + b

    @understudy("calculator")
    def divide(self, a, b):
        return a / b
