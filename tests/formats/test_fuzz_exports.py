"""The laws of test_fuzz.py for what platforms export beside the forms that the seeds have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.core.errors import DetectTLError
from tests.formats.makers import document, read, text
from tests.formats.mutations import damaged
from tests.formats.seeds import images
from tests.formats.test_fuzz import assert_sound
from tests.formats.test_labelbox import CORNERS, SIDE, found, label, old, row
from tests.formats.test_via import RECT, row as table_row, spot, table, version_3

_REGION = {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["cat"]}
_SIZE = {"original_width": 100, "original_height": 80}


def json_min(folder: Path) -> Path:
    record = {"id": 1, "annotator": 1, "annotation_id": 1, "image": "a.jpg"}
    return document(folder / "x.json", [{**record, "tag": [{**_REGION, **_SIZE}]}])


def storage(folder: Path) -> Path:
    part = {"id": "k", "type": "rectanglelabels", "value": _REGION, "from_name": "tag", **_SIZE}
    whole: dict[str, Any] = {"result": [part], "task": {"data": {"image": "a.jpg"}}}
    return document(folder / "1.json", whole)


def project_3(folder: Path) -> Path:
    shapes = [[2, 1, 2, 3, 4], [7, 1, 1, 9, 1, 1, 9], [3, 50, 40, 9], [8, 1, 2, 9, 3, 4, 1, 5, 9]]
    regions = [spot(shape, "1", **{"2": "0"}) for shape in shapes]
    return document(folder / "x.json", version_3(*regions))


def via_table(folder: Path) -> Path:
    rows = [table_row(name, RECT, '{"kind": "cat", "x": undefined}') for name in ("a.jpg", "b.jpg")]
    return table(folder, *rows)


def data_rows(folder: Path) -> Path:
    rows = [row(name, label(found(), found(updated_at="2024"))) for name in ("a.jpg", "b.jpg")]
    return text(folder / "x.ndjson", "\n".join(map(json.dumps, rows)) + "\n")


def old_rows(folder: Path) -> Path:
    new = {"objects": [{"title": "cat", "bbox": SIDE}, {"title": "dog", "polygon": CORNERS}]}
    return document(
        folder / "x.json", [old("a.jpg", new), old("b.jpg", {"cat": [{"geometry": CORNERS}]})]
    )


EXPORTS = {
    "label-studio": [json_min, storage],
    "labelbox": [data_rows, old_rows],
    "via": [project_3, via_table],
}
CASES = [(name, make) for name, makers in EXPORTS.items() for make in makers]


@pytest.mark.parametrize(("name", "make"), CASES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_exports(tmp_path: Path, name: str, make: Any, data: st.DataObject) -> None:
    images(tmp_path)
    path = make(tmp_path)
    assert read(tmp_path).format == name
    path.write_bytes(data.draw(damaged(path)))
    try:
        result = read(tmp_path, name)
    except DetectTLError:
        return
    assert_sound(result)
