"""Whatever a file of records holds: it is read, or refused by an error that names it."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.formats.base import load_format
from detect_tl.formats.source import Source
from tests.formats.makers import image, text

_BOX = {"x": 10, "y": 20, "width": 10, "height": 10}
_POINTS = {"exterior": [[1, 1], [9, 1], [9, 9]], "interior": [[[2, 2], [3, 2], [3, 3]]]}
_BITMAP = {"data": "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86", "origin": [1, 1]}

# A sound file of every format: it is damaged in one place, in all ways.
_CREATE_ML = [{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": _BOX}]}]
_DATUMARO = {
    "infos": {},
    "categories": {"label": {"labels": [{"name": "cat", "parent": ""}]}},
    "items": [
        {
            "id": "a",
            "annotations": [
                {"id": 0, "type": "bbox", "attributes": {}, "label_id": 0, "bbox": [1, 2, 3, 4]},
                {"type": "polygon", "group": 1, "label_id": 0, "points": [1, 1, 9, 1, 9, 9]},
                {"type": "mask", "label_id": 0, "rle": {"size": [8, 10], "counts": [70, 10]}},
                {"type": "ellipse", "label_id": 0, "points": [1, 1, 9, 9]},
                {"type": "rotated_bbox", "label_id": 0, "points": [5, 5, 4, 2, 30]},
            ],
            "image": {"path": "a.jpg", "size": [80, 100]},
        }
    ],
}
_SUPERVISELY = {
    "description": "",
    "tags": [{"name": "train", "value": None}],
    "size": {"height": 80, "width": 100},
    "objects": [
        {"classTitle": "cat", "geometryType": "polygon", "points": _POINTS, "instance": "k"},
        {"classTitle": "cat", "geometryType": "bitmap", "bitmap": _BITMAP, "tags": ["x"]},
        {
            "classTitle": "cat",
            "geometryType": "rectangle",
            "points": {"exterior": [[1, 1], [9, 9]], "interior": []},
        },
    ],
}
_JSON = {"createml": _CREATE_ML, "datumaro": _DATUMARO, "supervisely": _SUPERVISELY}
_TEXT = {
    "kitti": (
        "label_2/a.txt",
        (
            "Car 0.1 2 -1.57 10 20 30.5 40 1.5 1.6 3.9 -1.2 1.4 20.5 -1.6\n"
            "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10\n"
        ),
    ),
    "csv": ("a.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,cat,1,2,3,4\n"),
    "openimages": (
        "train-annotations-bbox.csv",
        (
            "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
            "a,xclick,/m/0,1,0.1,0.2,0.3,0.4,0,1\n"
        ),
    ),
}
_odd = st.sampled_from(
    [None, True, "", "\ud7ff", -1, 10**30, 1e300, float("nan"), float("inf"), [], {}, [[]], [{}]]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in entries:
            found += _places(child, (*path, key))
    return found


def _damaged(value: Any, path: tuple[Any, ...], odd: Any, *, gone: bool) -> Any:
    copy = json.loads(json.dumps(value))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    if gone:
        del parent[path[-1]]
    else:
        parent[path[-1]] = odd
    return copy


def _read(name: str, folder: Path) -> None:
    """Read a folder; only a DataError may come out, and no object may be lost without a word."""
    fmt, report = load_format(name), Report()
    source = Source(folder)
    if not fmt.sniff(source).matches:
        return
    try:
        dataset = fmt.read(source, report)
    except DataError:
        return
    report.as_json()
    for item in dataset.instances():
        assert 0 <= item.category < len(dataset.names)
    lost = sum(report.lost.values())
    assert not lost or report.findings


@pytest.mark.parametrize("name", sorted(_JSON))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_value_of_the_wrong_kind(name: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(_places(_JSON[name])))
    value = _damaged(_JSON[name], place, data.draw(_odd), gone=data.draw(st.booleans()))
    with tempfile.TemporaryDirectory() as scratch:
        image(Path(scratch, "img/a.jpg"))
        text(Path(scratch, "ann/a.jpg.json"), json.dumps(value))
        _read(name, Path(scratch))


@pytest.mark.parametrize("name", sorted(_TEXT))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
def test_bytes_of_the_wrong_kind(name: str, seed: int, count: int) -> None:
    where, content = _TEXT[name]
    chance = random.Random(seed)  # of bytes, so that encodings break as well
    damaged = bytearray(content.encode())
    for _ in range(count):
        at = chance.randrange(len(damaged))
        piece = chance.choice([b"", b"\0", b"\xff\xfe", b'"', b"\n", b",,", b"nan", b"1e999", b"_"])
        damaged[at : at + chance.randrange(3)] = piece
    with tempfile.TemporaryDirectory() as scratch:
        image(Path(scratch, "a.jpg"))
        path = text(Path(scratch, where), "")
        path.write_bytes(bytes(damaged))
        _read(name, Path(scratch))


@pytest.mark.parametrize("name", sorted(_JSON))
def test_the_sound_files_are_sound(name: str, tmp_path: Path) -> None:
    image(tmp_path / "img/a.jpg")
    text(tmp_path / "ann/a.jpg.json", json.dumps(_JSON[name]))
    assert load_format(name).sniff(Source(tmp_path)).matches
    assert len(list(load_format(name).read(Source(tmp_path), Report()).instances())) >= 1


@pytest.mark.parametrize("name", sorted(_TEXT))
def test_the_sound_tables_are_sound(name: str, tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / _TEXT[name][0], _TEXT[name][1])
    report = Report()
    assert len(list(load_format(name).read(Source(tmp_path), report).instances())) == 1
    assert not list(report.of("error"))
