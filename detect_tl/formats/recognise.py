"""Recognising a format by what its files begin and end with, and saying so in the words of all."""

from __future__ import annotations

from collections.abc import Callable

from detect_tl.core.words import counted
from detect_tl.formats.base import Sniff
from detect_tl.formats.source import Source


def recognise(
    source: Source, suffixes: tuple[str, ...], is_ours: Callable[[bytes], object], content: str
) -> Sniff:
    """The files with one of these suffixes that are of a format.

    is_ours: is told the two ends of a file. content: what those of the format hold, in words that
    follow "with".
    """
    files = source.candidates(*suffixes)
    if not files:
        *most, last = suffixes
        return Sniff(f"no {', '.join(most)} or {last} file" if most else f"no {last} file")
    claimed = tuple(path for path in files if is_ours(source.peek(path)))
    found = claimed or files
    kinds = " and ".join(sorted({path.suffix.lower() for path in found}))
    about = counted(len(found), f"{kinds} file")
    return Sniff(f"{about} with {content}" if claimed else f"{about}, none with {content}", claimed)
