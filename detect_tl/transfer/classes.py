"""Which classes of a new model an old one already knows, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detect_tl.core.words import listed
from detect_tl.transfer.kin import Kin, bare, shipped_kin


@dataclass(frozen=True, slots=True)
class ClassMatch:
    """How the rows of two class branches correspond.

    rows: (target row, source row) of every class that both have, by target row.
    known: whether both sides name their classes; without names, rows correspond by position when
        their number is equal.
    kin: target rows whose class is called otherwise in the source, as a kind of it or a synonym.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    rows: tuple[tuple[int, int], ...]
    known: bool
    kin: frozenset[int] = frozenset()

    @property
    def identical(self) -> bool:
        """Whether both have the same classes in the same order."""
        return (
            not self.kin
            and len(self.source) == len(self.target) == len(self.rows)
            and all(here == there for here, there in self.rows)
        )

    @property
    def reused(self) -> tuple[str, ...]:
        return tuple(self.target[here] for here, _ in self.rows)

    @property
    def new(self) -> tuple[str, ...]:
        have = {here for here, _ in self.rows}
        return tuple(name for row, name in enumerate(self.target) if row not in have)

    def describe(self) -> str:
        """Say it in words: "class rows of person reused, of sedan taken from car, of cap new"."""
        if not self.rows:
            return f"class rows of {len(self.target)} new classes ({listed(self.target)})"
        same = [self.target[here] for here, _ in self.rows if here not in self.kin]
        taken = [
            f"{self.target[here]} taken from {self.source[there]}"
            for here, there in self.rows
            if here in self.kin
        ]
        parts = [
            *([f"of {listed(same)} reused"] if same else []),
            *([f"of {listed(taken)}"] if taken else []),
            *([f"of {listed(self.new)} new"] if self.new else []),
        ]
        return f"class rows {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        return {
            "matched_by": "name" if self.known else "position",
            "reused": {self.target[here]: there for here, there in self.rows},
            "kin": {
                self.target[here]: self.source[there]
                for here, there in self.rows
                if here in self.kin
            },
            "new": list(self.new),
        }


def match_classes(
    source: Sequence[str], target: Sequence[str], kin: Kin | None = None
) -> ClassMatch:
    """Match classes by name, exactly if possible, else regardless of case and spacing.

    kin: what else a class may be called in the source, see `detect_tl.transfer.kin`; the one that
        ships when None.
    Names that only repeat their number ("0", "1", …), as a model has before it has seen data, count
    as no names.
    """
    known = not (_placeholders(source) or _placeholders(target))
    if not known:
        same = range(len(target)) if len(source) == len(target) else ()
        return ClassMatch(tuple(source), tuple(target), tuple((i, i) for i in same), known=False)
    exact = {name: row for row, name in reversed(list(enumerate(source)))}
    loose = {_plain(name): row for row, name in reversed(list(enumerate(source)))}
    lenders = shipped_kin() if kin is None else kin
    rows: list[tuple[int, int]] = []
    called_otherwise: set[int] = set()
    for row, name in enumerate(target):
        lent = exact.get(name, loose.get(_plain(name)))
        if lent is None:
            lent = loose.get(_plain(lenders.get(bare(name), "")))
            called_otherwise |= {row} if lent is not None else set()
        if lent is not None:
            rows.append((row, lent))
    return ClassMatch(
        tuple(source), tuple(target), tuple(rows), known=True, kin=frozenset(called_otherwise)
    )


def _placeholders(names: Sequence[str]) -> bool:
    return all(name == str(row) for row, name in enumerate(names))


def _plain(name: str) -> str:
    return "".join(name.casefold().split())
