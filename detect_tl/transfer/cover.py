"""Which classes of a model stand for names that someone asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from detect_tl.transfer.kin import bare, relatives

How = Literal["name", "synonym", "parent", "kinds"]

_NEAREST: tuple[How, ...] = ("name", "synonym", "parent", "kinds")


@dataclass(frozen=True, slots=True)
class Cover:
    """What stands for a name.

    classes: of the model; none: nothing does. how: they are called so, are another name for it, are
    its parent (all of the parent is found), or are kinds of it (only these are found).
    alike: a class that is merely like it, where nothing stands for it.
    shown: what its objects are called in the results; other than the name where several names share
    a class.
    """

    name: str
    classes: tuple[str, ...] = ()
    how: How | None = None
    alike: str | None = None
    shown: tuple[str, ...] = ()

    def describe(self, model: str) -> str:
        """Say it in words: "sedan: car (its parent, so every car is found)"."""
        several = ", ".join(self.classes)
        if self.how is None:
            more = f"; {self.alike} is only like it" if self.alike else ""
            return f"{self.name}: no class of {model}{more}"
        told = {
            "name": f"{several}, a class of {model}",
            "synonym": f"{several} (another name for it)",
            "parent": f"{several} (its parent, so every {several} is found)",
            "kinds": f"{several} (the kinds of it that {model} knows)",
        }[self.how]
        other = [name for name in self.shown if name != self.name]
        return f"{self.name}: {told}" + (f"; shown as {', '.join(other)}" if other else "")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What stands for each name.

    labels: by class of the model, what it is called in the results.
    """

    covers: tuple[Cover, ...]
    labels: Mapping[str, str]

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(cover.name for cover in self.covers if cover.how is None)


def cover_names(names: Sequence[str], known: Sequence[str]) -> Coverage:
    """Find classes of a model for names, regardless of case, spacing and plural.

    known: the classes of the model, COCO's or any others.
    A class belongs to the names that are nearest to it, its own name before that of a kind; where
    there are several, as sedan and taxi are of car, its objects cannot be told apart, and are shown
    as "sedan or taxi".
    """
    found = [_cover(name, known) for name in dict.fromkeys(names)]
    labels: dict[str, str] = {}
    for each in known:
        claims = [(_NEAREST.index(c.how), c.name) for c in found if c.how and each in c.classes]
        nearest = [name for rank, name in claims if rank == min(claims)[0]]
        if nearest:
            labels[each] = " or ".join(nearest)
    covers = tuple(_shown(cover, labels) for cover in found)
    return Coverage(covers, labels)


def _shown(cover: Cover, labels: Mapping[str, str]) -> Cover:
    shown = tuple(dict.fromkeys(labels[name] for name in cover.classes))
    return Cover(cover.name, cover.classes, cover.how, cover.alike, shown)


def _cover(name: str, known: Sequence[str]) -> Cover:
    table = relatives()
    for form in _forms(name):
        plain = {each for each in known if bare(each) == form}
        same = {each for each in known if _head(each) == _head(form)}
        parent = {each for each in known if _head(each) == bare(table.kinds.get(form, ""))}
        kinds = {each for each in known if _is_kind(each, form)}
        for how, these in zip(_NEAREST, (plain, same, parent, kinds), strict=True):
            if these:
                return Cover(name, tuple(each for each in known if each in these), how)
    likes = {table.alike.get(form) for form in _forms(name)} - {None}
    return Cover(name, alike=next((each for each in known if each in likes), None))


def _forms(name: str) -> list[str]:
    """The name, and what it may be the plural of."""
    word = bare(name)
    return [word, *(word.removesuffix(end) for end in ("s", "es") if word.endswith(end))]


def _head(name: str) -> str:
    """A class of COCO for all names of it; else the name itself."""
    return bare(relatives().same.get(bare(name), name))


def _is_kind(known: str, name: str) -> bool:
    """Whether a class is a kind of what is asked for, by one step or by two."""
    table = relatives()
    parents = {_head(known), bare(table.kinds.get(bare(known), ""))} - {""}
    group = {bare(each) for each in table.groups.get(name, ())}
    return _head(name) in parents or bool(group & parents)
