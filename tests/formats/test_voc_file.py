"""The pattern takes what a tree of elements would give, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.columns import Rows
from detect_tl.core.errors import DataError
from detect_tl.formats.voc import file as voc_file
from detect_tl.formats.voc.file import _parse_files

names = st.sampled_from(["cat", " dog ", "", "a &amp; b", "größe", "<b/>", "x\ny"])
numbers = st.sampled_from(["1", "10.5", " 7 ", "-3", "nan", "1e3", "x", "", "9" * 12])
flags = st.lists(
    st.tuples(
        st.sampled_from(["truncated", "difficult", "occluded", "pose"]), st.sampled_from("01")
    ),
    max_size=3,
)
corners = st.permutations(["xmin", "ymin", "xmax", "ymax"]) | st.just(["xmin"] * 4)
extras = st.sampled_from(["", "<part/>", "<!-- <object> -->", "<polygon/>", "text"])


@st.composite
def objects(draw: st.DrawFn) -> str:
    marks = "".join(f"<{k}>{v}</{k}>" for k, v in draw(flags))
    box = "\n".join(f"<{tag}>{draw(numbers)}</{tag}>" for tag in draw(corners))
    name = f"<name>{draw(names)}</name>"
    pose = draw(st.sampled_from(["", "<pose>Unspecified</pose>", "<pose>Left</pose>"]))
    return f"<object>{name}{pose}{marks}<bndbox>{box}</bndbox>{draw(extras)}</object>\n"


heads = st.sampled_from(
    [
        "<filename>a.jpg</filename><size><width>9</width><height>8</height></size>",
        "<filename>a &lt; b.jpg</filename><path>/x/a.jpg</path>",
        "<!-- <object> -->",
        "",
    ]
)
starts = st.sampled_from(["", '<?xml version="1.0" encoding="latin-1"?>', "<!DOCTYPE a>"])


@settings(max_examples=300, deadline=None)
@given(
    start=starts,
    head=heads,
    body=st.lists(objects(), max_size=3),
    end=st.sampled_from(["</annotation>", "</annotation>\n", "<x/></annotation>", ""]),
)
def test_pattern_and_tree_agree(
    tmp_path_factory: pytest.TempPathFactory, start: str, head: str, body: list[str], end: str
) -> None:
    path = tmp_path_factory.mktemp("voc") / "a.xml"
    path.write_text(f"{start}<annotation>\n{head}{''.join(body)}{end}", "utf-8")
    by_tree = parsed(path, pattern=False)
    assert parsed(path, pattern=True) == by_tree


def parsed(path: Path, *, pattern: bool) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        if not pattern:
            patch.setattr(voc_file, "_plain", lambda *_: None)
        try:
            chunk = _parse_files([path])
        except DataError as error:
            return str(error)
    objects = [
        (chunk.names[i.category], i.box, i.mask, i.attributes)
        for i in Rows(chunk.table, 0, len(chunk.table))
    ]
    return chunk.heads, objects, chunk.report


def test_ordinary_files_need_no_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    files = sorted((shared / "data/voc_bccd/BCCD/Annotations").glob("*.xml"))

    def refuse(*_: object) -> None:
        raise AssertionError("a tree was built")

    monkeypatch.setattr(voc_file, "_any", refuse)
    assert len(_parse_files(files).table) == 4888
