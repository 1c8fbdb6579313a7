"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, thing: str, several: str = "") -> str:
    """ "1 object", "2 objects"; `several` for a thing whose plural does not end in "s" alone."""
    return f"{number} {thing if number == 1 else several or f'{thing}s'}"
