"""Ways to damage a file, drawn by hypothesis: by the byte, and where its syntax stays whole."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hypothesis import strategies as st

# Written in place of numbers and words. JSON and Python differ in what they take for a number.
WORDS = [
    *("", " ", "0", "-1", "-0.0", "0.5", "1.5", "7", "1e9", "1000000000", "-1e308", "1e308"),
    *(
        "1e400",
        "-1e400",
        "9" * 25,
        "9" * 400,
        "9" * 5000,
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "0x10",
        "1_0",
    ),
    *("true", "None", "null", "cat", "../../a.jpg", "/etc/passwd", "..\\a.jpg", "C:\\a.jpg"),
    *("a.jpg", "b.jpg", "\x00", "é", "\ud800", "٣", "½", "x" * 3000, "a,b", "1 2 3", "{}", "[1]"),
]
_RAW = "\ue000"  # marks text that is to stand in a JSON file without quotes

_numbers = st.sampled_from([w for w in WORDS if re.fullmatch(r"-?\d[\d.e]*|NaN|-?Infinity", w)])
raw = _numbers.map(lambda word: f"{_RAW}{word}{_RAW}")
values: st.SearchStrategy[Any] = (
    raw
    | st.sampled_from(WORDS)
    | st.sampled_from([None, True, False, [], {}, [[]], [None], {"a": 1}, [1], [1, 2, 3, 4, 5]])
)


def damaged(path: Path) -> st.SearchStrategy[bytes]:
    """Contents of a file with one to three faults."""
    whole = path.read_bytes()
    if path.suffix in (".png", ".tar"):
        return scrambled(whole)
    by_suffix = {".json": json_trees, ".xml": xml_trees}
    structured = by_suffix.get(path.suffix, lines)(path)
    return st.one_of(structured, structured, structured, scrambled(whole))


@st.composite
def scrambled(draw: st.DrawFn, whole: bytes) -> bytes:
    """Cut off, overwritten or lengthened somewhere."""
    here = draw(st.integers(0, len(whole)))
    there = draw(st.integers(here, min(len(whole), here + 40)))
    filling = draw(st.binary(max_size=8) | st.sampled_from([b"\0", b"\xff\xfe", b"\xef\xbb\xbf"]))
    return draw(st.sampled_from([whole[:here] + filling + whole[there:], whole[:here], filling]))


@st.composite
def json_trees(draw: st.DrawFn, path: Path) -> bytes:
    tree = json.loads(path.read_text("utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            break
        parent, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(["replace", "replace", "replace", "delete", "wrap", "twice"]))
        if change == "replace":
            parent[key] = copy.deepcopy(draw(values))  # the next fault may lie inside
        elif change == "delete":
            del parent[key]
        elif change == "wrap":
            parent[key] = [parent[key]]
        elif isinstance(parent, list):
            parent.append(parent[key])
    return as_json(tree)


def as_json(tree: Any) -> bytes:
    text = json.dumps(tree)
    mark = json.dumps(_RAW).strip('"')
    return re.sub(rf'"{re.escape(mark)}(.*?){re.escape(mark)}"', _unquoted, text).encode()


def _unquoted(match: re.Match[str]) -> str:
    return match[1].replace('\\"', '"')


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree at which something can be put, as a container and a key."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from _places(tree[key])


@st.composite
def xml_trees(draw: st.DrawFn, path: Path) -> bytes:
    root = ElementTree.fromstring(path.read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        elements = list(root.iter())
        element = elements[draw(st.integers(0, len(elements) - 1))]
        word = _legal(draw(st.sampled_from(WORDS)))
        change = draw(st.sampled_from(["attribute", "text", "text", "empty", "twice", "rename"]))
        if change == "attribute" and element.attrib:
            element.set(draw(st.sampled_from(sorted(element.attrib))), word)
        elif change == "empty":
            element.clear()
        elif change == "twice" and len(element):
            element.append(element[0])
        elif change == "rename":
            element.tag = draw(st.sampled_from([e.tag for e in elements]))
        else:
            element.text = word
    return ElementTree.tostring(root)


def _legal(word: str) -> str:
    """XML knows neither NUL nor halves of characters."""
    return re.sub("[\x00\ud800-\udfff]", "?", word)


@st.composite
def lines(draw: st.DrawFn, path: Path) -> bytes:
    """Tables, rows of numbers and YAML: words replaced, lines lost, repeated and joined."""
    rows = path.read_text("utf-8").splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(rows) - 1)) if rows else 0
        words = re.split(r"([\s,:]+)", rows[place]) if rows else [""]
        change = draw(st.sampled_from(["word", "word", "word", "drop", "twice", "join", "quote"]))
        if change == "word":
            words[draw(st.integers(0, (len(words) - 1) // 2)) * 2] = draw(st.sampled_from(WORDS))
        elif change == "quote":
            words[0] = '"' + words[0]
        joined = "".join(words)
        rows[place : place + 1] = {"drop": [], "twice": [joined] * 2}.get(change, [joined])
        if change == "join":
            rows = ["".join(rows)]
    return "\n".join(rows).encode("utf-8", "surrogatepass")
