"""What goes wrong, with the codes of the command."""

from __future__ import annotations

from typing import Any, Tuple


class GristmillError(Exception):
    """A failure with a code: one of docs/errors.md, ``USAGE``, ``COMMAND_MISSING`` or ``PROCESS_ENDED``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> Tuple[Any, ...]:
        # Engines carry exceptions from worker to driver.
        return (type(self), (self.code, self.message))
