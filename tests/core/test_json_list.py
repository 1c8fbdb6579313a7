"""A list that is taken apart is the list, wherever the cuts fall."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.json_list import BadCutError, cut_list

tricky = st.sampled_from(['}, {"', '"}]}', '[{"a": 1}]', "}],", '\\"}, {', "é}\n,{"])
leaves = st.none() | st.booleans() | st.integers(-9, 9) | tricky
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky, inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(st.sampled_from(["id", "bbox", "annotations"]) | tricky, values)
others = st.dictionaries(st.sampled_from(["images", "info", "licenses", "x"]), values, max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    before=others,
    items=st.lists(records, min_size=1, max_size=6),
    after=others,
    step=st.integers(1, 60),
    indent=st.sampled_from([None, 1]),
)
def test_the_stretches_are_the_list_or_refuse(
    before: dict[str, Any], items: list[Any], after: dict[str, Any], step: int, indent: int | None
) -> None:
    document = {**before, "annotations": items, **after}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), "utf-8")
        found = cut_list(path, "annotations", step)
        if found is None:
            return
        assert found.document == {**document, "annotations": []}
        try:
            parsed = [record for stretch in found.stretches for record in stretch.records()]
        except BadCutError:
            return
        assert parsed == items


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_an_ordinary_file_is_taken_apart(tmp_path: Path, bom: bytes) -> None:
    path = tmp_path / "a.json"
    items = [{"id": k, "segmentation": [[1, 2, 3]], "attributes": {"a": {}}} for k in range(50)]
    document = {"info": {}, "annotations": items, "categories": [{"id": 1}]}
    path.write_bytes(bom + json.dumps(document, indent=2).encode())
    found = cut_list(path, "annotations", 300)
    assert found is not None
    assert len(found.stretches) > 5
    assert [record for s in found.stretches for record in s.records()] == items


@pytest.mark.parametrize("text", ["", "{}", '{"annotations": []}', '{"annotations": [1, 2]}', "[["])
def test_what_is_no_list_of_objects_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert cut_list(path, "annotations", 10) is None
