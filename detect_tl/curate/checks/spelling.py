"""Names that may be one name, spelled in two ways."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

_SEPARATORS = re.compile(r"[\s_\-]+")
# A shorter word is another word when a letter changes: car and cat, bowl and bow.
_LEAST_WORD = 5
_LEAST_PLURAL = 3


def singular(name: str) -> str:
    """A name without case, separators and the plural of its last word."""
    words = _words(name)
    if words and len(words[-1]) > _LEAST_PLURAL:
        words[-1] = _without_plural(words[-1])
    return " ".join(words)


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if re.search(r"(ch|sh|ss|x|z)es$", word):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def one_letter_apart(names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of names, by index, that one slip of the finger turns into each other.

    A letter too many, too few, wrong, or two in the wrong order, in one word of at least five
    letters, and not its first letter. Digits are never a slip: "bolt6" and "bolt8" are two names.
    """
    found: dict[tuple[tuple[str, ...], int, str], list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        words = _words(name)
        for place, word in enumerate(words):
            rest = tuple(words[:place] + words[place + 1 :])
            for shorter in {word, *(word[:k] + word[k + 1 :] for k in range(1, len(word)))}:
                found[rest, place, shorter].append(index)
    pairs = {
        (a, b) for group in found.values() for k, a in enumerate(group) for b in group[k + 1 :]
    }
    for a, b in sorted(pairs):
        if _is_slip(_words(names[a]), _words(names[b])):
            yield a, b


def _is_slip(a: list[str], b: list[str]) -> bool:
    """Whether two names of equally many words differ by one slip, and by no plural."""
    differing = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    if len(differing) != 1 or singular(" ".join(a)) == singular(" ".join(b)):
        return False
    x, y = sorted(differing[0], key=len)
    if len(x) < _LEAST_WORD or x[0] != y[0] or not (x + y).isalpha():
        return False
    start = next((k for k, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), len(x))
    if len(x) < len(y):
        return x[start:] == y[start + 1 :]
    swapped = x[start + 1 : start + 2] + x[start : start + 1] + x[start + 2 :]
    return x[start + 1 :] == y[start + 1 :] or swapped == y[start:]


def _words(name: str) -> list[str]:
    return [word for word in _SEPARATORS.split(name.casefold()) if word]
