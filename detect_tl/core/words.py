"""Numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, thing: str, several: str = "") -> str:
    """ "1 object", "2 objects"; `several` for a thing whose plural does not end in "s" alone."""
    return f"{number} {thing if number == 1 else several or f'{thing}s'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """ "a, b, c", and how many more there are than `most`."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
