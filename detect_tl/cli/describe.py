"""Results in words that several commands share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from detect_tl.api.curation import FolderResult
from detect_tl.cli.output import Piece, Table
from detect_tl.core.findings import Report, Severity

_MOST_EXAMPLES = 3


def chosen(explanation: str) -> str:
    """What a source was taken for; why for nothing else, `formats --of` and `--json` say."""
    return explanation.partition(";\nnot ")[0]


def counts_table(objects: Mapping[str, int]) -> Table:
    """Number of objects by class."""
    rows = [(name, str(count)) for name, count in objects.items()]
    return Table(("class", "objects"), rows, right=("objects",))


def findings_lines(
    report: Report, severities: Sequence[Severity] = ("error", "warning", "info")
) -> Iterator[Piece]:
    """A few findings of each code, the worst first: no text repeats a hundred times."""
    for severity in severities:
        found = list(report.of(severity))
        for code in dict.fromkeys(item.code for item in found):
            same = [item for item in found if item.code == code]
            for item in same[:_MOST_EXAMPLES]:
                yield f"{severity}: {item}"
            if len(same) > _MOST_EXAMPLES:
                yield f"{severity}: … and {len(same) - _MOST_EXAMPLES} more of {code}"


def count_lines(report: Report) -> Iterator[Piece]:
    """What was read, changed and lost, a line for each; with the reason where writing lost it."""
    from detect_tl.formats.base import reasons_of

    reasons = reasons_of(report.lost)
    lost = {name: count for name, count in report.lost.items() if name not in reasons}
    for title, counts in (("read", report.read), ("changed", report.changed), ("lost", lost)):
        if counts:
            listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
            yield f"{title}: {listed}"
    for name, reason in sorted(reasons.items()):
        yield f"lost: {name} {report.lost[name]} ({reason})"


def folder_lines(written: FolderResult) -> Iterator[Piece]:
    """What a dataset folder holds, and where it is."""
    images = ", ".join(f"{split} {count}" for split, count in written.splits.items())
    yield f"images: {images} ({written.split_reason})"
    yield f"written: {written.folder}"


def folder_pieces(written: FolderResult) -> Iterator[Piece]:
    """All that is to be said of a dataset folder that was written."""
    yield chosen(written.explanation)
    yield from findings_lines(written.report, ("error", "warning"))
    yield counts_table(written.classes)
    yield from count_lines(written.report)
    yield from folder_lines(written)
