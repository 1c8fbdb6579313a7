"""What annotation tools draw that is no object with an area."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from detect_tl.core.findings import Report


class NoAreaError(Exception):
    """A point, a line, a tag of the whole image, …: `kind` is the name its tool has for it.

    It is no `ValueError`, so that it is not taken for a damaged record.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def say_no_area(
    kinds: Counter[str], where: str, path: Path, report: Report, *, code: str, what: str
) -> None:
    """Count what an image has of such kinds, and name each kind once.

    where: the image or the record, for the message. what: the word of the tool for its shapes.
    """
    for kind, count in kinds.items():
        report.lost[f"{what}s-{kind}"] += count
        text = f"{where} has {count} of type {kind!r}, which has no area; left out"
        report.add(code, "warning", text, path)
