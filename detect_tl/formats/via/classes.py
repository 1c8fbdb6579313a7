"""Which attribute of VIA's regions is their class: VIA has attributes only, of any name.

{"class": "dog"}        the value of an attribute
{"kind": {"dog": true}} the boxes that are ticked
{"dog": "true"}         the name of an attribute, where all of them are yes or no
{}                      nothing at all: there is one kind of object
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detect_tl.core.objects import Json
from detect_tl.formats.records import label_of, plain

NAMELESS = "object"

_Said = Mapping[str, Any]

_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})
# Names of an attribute that can mean nothing else, and such that often mean it.
_SURE = ("class", "classname", "label", "category", "object", "objects", "species")
_LIKELY = ("name", "type", "kind")


class NoClassError(ValueError):
    """A region without a value for the attribute that is the class."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """attribute: whose value is the class; None where the names of attributes are.

    nameless: no region has any attribute. others: attributes with values beside the class.
    """

    attribute: str | None = None
    nameless: bool = False
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.nameless:
            return f'no region says what it is; all are taken for "{NAMELESS}"'
        if self.attribute is None:
            return "attributes are yes or no; the class is the name of the one that is yes"
        return f"the class is the value of {self.attribute!r}, not of {', '.join(self.others)}"

    def classes(self, said: _Said) -> list[str]:
        """The class of a region; several where several are ticked, none is an error.

        Raises NoClassError, or ValueError when the value is no text.
        """
        if self.nameless:
            return [NAMELESS]
        value = said if self.attribute is None else said.get(self.attribute)
        if isinstance(value, dict):
            found = [label_of(name) for name, flag in value.items() if _is_true(flag)]
        else:
            found = [] if _is_empty(value) else [label_of(value)]
        if not found:
            wanted = "attribute that is yes" if self.attribute is None else repr(self.attribute)
            raise NoClassError(f"it has no {wanted}")
        return found

    def attributes(self, said: _Said, classes: Sequence[str]) -> dict[str, Json]:
        """What else was said of a region; all of its classes where there are several."""
        rest: dict[str, Json] = {}
        if self.attribute is not None:
            rest = {k: v for k, v in plain(said).items() if k != self.attribute and v != ""}
        if len(classes) > 1:
            rest[self.attribute or "classes"] = list(classes)
        return rest


def class_rule(regions: Sequence[_Said]) -> ClassRule:
    """Decide from the attributes of all regions of a source."""
    filled: Counter[str] = Counter()
    telling: Counter[str] = Counter()  # with a value that is more than yes or no
    for said in regions:
        for name, value in said.items():
            if not _is_empty(value):
                filled[name] += 1
                telling[name] += not _is_flag(value)
    if not filled:
        return ClassRule(nameless=True)
    sure = _first(_SURE, filled)
    named = [name for name, count in telling.items() if count]
    if sure is None and not named:
        return ClassRule()
    most = max((filled[name] for name in named), default=0)
    tied = [name for name in named if filled[name] == most]
    attribute = sure or _first(_LIKELY, tied) or tied[0]
    return ClassRule(attribute, others=tuple(name for name in filled if name != attribute))


def declared_order(rule: ClassRule, options: Sequence[Mapping[str, list[str]]]) -> Iterator[str]:
    """The classes that projects offer, in their order."""
    for offered in options:
        if rule.attribute is not None:
            yield from offered.get(rule.attribute, ())


def _first(known: Sequence[str], names: Sequence[str] | Mapping[str, int]) -> str | None:
    by_plain = {name.casefold().replace("_", "").replace(" ", ""): name for name in names}
    return next((by_plain[word] for word in known if word in by_plain), None)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip())


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str | int) and str(value).casefold() in _TRUE)


def _is_flag(value: Any) -> bool:
    is_word = isinstance(value, str | int) and str(value).strip().casefold() in _TRUE | _FALSE
    return isinstance(value, bool) or is_word
