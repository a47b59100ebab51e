"""How the command is found, and its arguments."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import List, Mapping, Optional, Sequence, Union

from ._errors import GristmillError

Command = Union[str, Sequence[str]]

#: Environment variable with the command, split like a shell's words.
VARIABLE = "GRISTMILL_COMMAND"

#: Flags that are the protocol's own.
RESERVED = frozenset({"out", "json", "events_fd", "plan", "show", "keep_dropped", "device"})

#: Values of CUDA_VISIBLE_DEVICES by which a scheduler gives no device.
NO_DEVICES = frozenset({"", "-1", "NoDevFiles", "none", "void"})


def find_command(command: Optional[Command] = None) -> List[str]:
    """``command``, else GRISTMILL_COMMAND, else ``gristmill`` on PATH, else ``npx``."""
    if command is not None:
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        if not words:
            raise ValueError("command: expected at least one word")
        return words
    words = shlex.split(os.environ.get(VARIABLE, ""))
    if words:
        return words
    found = shutil.which("gristmill")
    if found:
        return [found]
    npx = shutil.which("npx")
    if npx:
        return [npx, "--yes", "gristmill"]
    raise GristmillError(
        "COMMAND_MISSING",
        f"neither gristmill nor npx is on PATH: install it (npm install gristmill), or name it by command= or {VARIABLE}",
    )


def device_flag(device: str, environment: Mapping[str, str]) -> str:
    """``auto`` is the devices that a scheduler has left in CUDA_VISIBLE_DEVICES; the CPU where it has said nothing."""
    if device != "auto":
        return device
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").strip()
    return "cpu" if visible in NO_DEVICES else "cuda"


def flags_of(options: Mapping[str, object]) -> List[str]:
    """Keyword arguments as flags: ``doc_threshold=0.5`` is ``--doc-threshold 0.5``, ``True`` a flag alone."""
    flags: List[str] = []
    for name, value in options.items():
        if name in RESERVED or not name.isidentifier():
            raise TypeError(f"{name} is no option of a Refiner")
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            flags.append(flag)
            continue
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        # One word, so that no value is taken for a flag.
        flags.append(f"{flag}={text}")
    return flags
