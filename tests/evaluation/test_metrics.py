"""Metrics as text and as JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from detect_tl.core.findings import Finding
from detect_tl.evaluation.metrics import ClassScores, Metrics, Scores

CLASSES = (ClassScores("fig", 2, 5, 0.25, 0.5), ClassScores("date", 0, 0, None, None))


def metrics(*, masks: bool) -> Metrics:
    box = Scores(0.25, 0.5, None, None, 0.2, 0.3, 0.6, CLASSES)
    mask = Scores(0.125, 0.4, 0.1, None, 0.2, 0.3, 0.5, CLASSES)
    finding = Finding("eval.x", "info", "a word", Path("val.json"), 3)
    return Metrics(box, mask if masks else None, 2, 5, 1, 40, (finding,))


@pytest.mark.parametrize("masks", [False, True])
def test_json_and_back(masks: bool) -> None:
    value = metrics(masks=masks)
    text = orjson.dumps({**value.as_json(), "more": 1})
    assert Metrics.from_json(orjson.loads(text)) == value


def test_the_table_has_a_row_for_all_and_one_for_each_class() -> None:
    value = metrics(masks=False)
    assert value.table_header() == ("class", "images", "objects", "mAP50", "mAP50-95")
    assert value.table_rows() == [
        ("all", "2", "5", "0.500", "0.250"),
        ("fig", "2", "5", "0.500", "0.250"),
        ("date", "0", "0", "-", "-"),
    ]


def test_many_classes_without_objects_share_a_row() -> None:
    absent = tuple(ClassScores(f"class {k}", 0, 0, None, None) for k in range(11))
    box = replace(metrics(masks=False).box, per_class=(*absent, CLASSES[0]))
    rows = replace(metrics(masks=False), box=box).table_rows()
    assert [row[0] for row in rows] == ["all", "fig", "11 classes without objects"]
    assert rows[-1][1:] == ("0", "0", "-", "-")
    value = replace(metrics(masks=False), box=replace(box, per_class=(*absent[1:], CLASSES[0])))
    assert len(value.table_rows()) == 12


def test_masks_have_columns_of_their_own() -> None:
    value = metrics(masks=True)
    assert all(len(row) == len(value.table_header()) == 7 for row in value.table_rows())
    assert value.table_rows()[0][5:] == ("0.400", "0.125")
    assert value.main is value.mask
