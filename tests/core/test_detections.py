from __future__ import annotations

import numpy as np
import pytest

from detect_tl.core.detections import Detections


def some(n: int = 3) -> Detections:
    return Detections(
        np.arange(4 * n, dtype=np.float32).reshape(n, 4),
        np.linspace(0.9, 0.1, n, dtype=np.float32),
        np.arange(n, dtype=np.int64),
        np.ones((n, 5, 6), bool),
        np.arange(n, dtype=np.int64) + 7,
    )


def test_rows_are_selected_from_every_array() -> None:
    kept = some().where(np.array([True, False, True]))
    assert len(kept) == 2
    assert kept.class_id.tolist() == [0, 2]
    assert kept.mask is not None
    assert kept.mask.shape == (2, 5, 6)
    assert kept.track_id is not None
    assert kept.track_id.tolist() == [7, 9]
    assert some().where(np.array([2, 0])).class_id.tolist() == [2, 0]


def test_several_objects_may_have_no_track() -> None:
    found = some()
    Detections(found.xyxy, found.score, found.class_id, track_id=np.array([-1, 3, -1]))


def test_no_detections_are_still_arrays() -> None:
    empty = Detections.empty()
    assert len(empty) == 0
    assert empty.xyxy.shape == (0, 4)
    assert len(empty.where(np.zeros(0, bool))) == 0


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("xyxy", np.zeros((2, 4), np.float32), r"need shapes \(n, 4\)"),
        ("class_id", np.zeros(2, np.int64), "need shapes"),
        ("mask", np.zeros((3, 5), bool), r"\(3, height, width\)"),
        ("mask", np.zeros((2, 5, 5), bool), "masks of shape"),
        ("track_id", np.zeros(2, np.int64), r"track ids of shape \(3,\)"),
        ("track_id", np.array([4, -1, 4]), "distinct track ids"),
        ("track_id", np.array([4, -2, 5]), "distinct track ids"),
    ],
)
def test_arrays_of_the_wrong_length_are_refused(field: str, value: np.ndarray, words: str) -> None:
    good = some()
    values = {f: getattr(good, f) for f in ("xyxy", "score", "class_id", "mask", "track_id")}
    with pytest.raises(ValueError, match=words):
        Detections(**{**values, field: value})
