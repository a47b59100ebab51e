"""The columns that gristmill adds, for engines that must know them beforehand."""

from __future__ import annotations

from typing import Any, Mapping, Tuple


def added_columns(options: Mapping[str, Any]) -> Tuple[Tuple[str, str], ...]:
    """Names and types of the columns that gristmill adds."""
    prefix = options.get("status_prefix") or "gristmill_"
    names = [("status", "string"), ("reason", "string"), ("program", "string"), ("doc_score", "double")]
    if options.get("keep_original"):
        names.append(("original", "string"))
    return tuple((f"{prefix}{name}", kind) for name, kind in names)
