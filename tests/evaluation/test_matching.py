"""Who met whom is what COCO says, and its average precision is pycocotools'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.detections import Detections
from detect_tl.evaluation.coco_eval import evaluate
from detect_tl.evaluation.matching import Matches, match
from detect_tl.evaluation.overlaps import Found, Objects, overlaps
from detect_tl.evaluation.precision import average_precision, mean_ap
from detect_tl.evaluation.sheet import Sheet, make_sheet
from tests.evaluation.test_coco_eval import NAMES, found, random_case, thing, truth_of

seeds = st.integers(0, 2**20)


def sheet_of(seed: int, *, masks: bool = False, max_det: int = 300, images: int = 6) -> Sheet:
    truth, predictions = random_case(seed, images)
    return make_sheet(truth, predictions, names=NAMES, masks=masks, max_det=max_det)


@given(seed=seeds, masks=st.booleans(), max_det=st.sampled_from([1, 2, 300]))
@settings(max_examples=25, deadline=None)
def test_average_precision_is_that_of_pycocotools(seed: int, masks: bool, max_det: int) -> None:
    truth, predictions = random_case(seed)
    case = {"names": NAMES, "masks": masks, "max_det": max_det}
    metrics = evaluate(truth, predictions, **case, engine="pycocotools")
    sheet = make_sheet(truth, predictions, **case)
    for kind, scores in zip(sheet.kinds, (metrics.box, metrics.mask), strict=False):
        assert scores is not None
        ap = average_precision(sheet.matches(kind))
        want = [np.nan if each.ap is None else each.ap for each in scores.per_class]
        np.testing.assert_allclose(ap.mean(axis=0), want, atol=1e-12)
        if scores.map50 is not None:
            assert mean_ap(ap[:1]) == pytest.approx(scores.map50, abs=1e-12)


@given(seed=seeds, weights=st.lists(st.integers(0, 3), min_size=3, max_size=3))
@settings(max_examples=25, deadline=None)
def test_a_weight_stands_for_so_many_copies_of_an_image(seed: int, weights: list[int]) -> None:
    truth, predictions = random_case(seed, 3)
    ap = average_precision(
        make_sheet(truth, predictions, names=NAMES).matches("bbox"), np.array(weights)
    )
    images, annotations, copied = [], [], []
    for place, weight in enumerate(weights):
        for copy in range(weight):
            number = 100 * place + copy
            images.append({**truth["images"][place], "id": number})
            own = [a for a in truth["annotations"] if a["image_id"] == 10 + place]
            annotations += [{**a, "image_id": number} for a in own]
            copied.append((number, predictions[place][1]))
    many = {**truth, "images": images, "annotations": annotations}
    scores = evaluate(many, copied, names=NAMES, engine="pycocotools").box
    want = [np.nan if each.ap is None else each.ap for each in scores.per_class]
    np.testing.assert_allclose(ap.mean(axis=0), want, atol=1e-9)


def one_by_one(matches: Matches, threshold: int) -> list[int]:
    """COCO's matching as its paper says it: the best detection chooses first."""
    objects, results = matches.objects, matches.found
    met, taken = [-1] * len(results), set()
    for row in matches.order.tolist():
        wishes = [
            (bool(objects.crowd[o]), -iou, -o)
            for f, o, iou in zip(
                *(c.tolist() for c in (matches.pairs.found, matches.pairs.object)),
                matches.pairs.iou.tolist(),
                strict=True,
            )
            if f == row
            and iou >= matches.thresholds[threshold]
            and objects.category[o] == results.category[row]
            and (o not in taken or objects.crowd[o])
        ]
        if wishes:
            met[row] = -min(wishes)[2]
            taken.add(met[row])
    return met


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_choosing_at_once_ends_as_choosing_in_turn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # many things on few places, so that they compete
    places = rng.integers(0, 4, (2, 30, 2)) * 3.0
    objects = Objects(
        image=np.sort(rng.integers(0, 2, 30)),
        category=rng.integers(0, 2, 30),
        xywh=np.hstack([places[0], rng.integers(8, 12, (30, 2))]),
        crowd=rng.random(30) < 0.1,
    )
    results = Found(
        image=np.sort(rng.integers(0, 2, 30)),
        category=rng.integers(0, 2, 30),
        xywh=np.hstack([places[1], rng.integers(8, 12, (30, 2))]),
        score=rng.integers(0, 6, 30) / 6,
    )
    matches = match(objects, results, ("a", "b"), images=2)
    for threshold in range(len(matches.thresholds)):
        assert matches.met[threshold].tolist() == one_by_one(matches, threshold)


def test_boxes_are_compared_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = sheet_of(3)
    objects = sheet.objects("bbox")
    whole = overlaps(objects, sheet.found, 6, "bbox")
    monkeypatch.setattr("detect_tl.evaluation.overlaps._PAIRS_AT_ONCE", 2)
    pieces = overlaps(objects, sheet.found, 6, "bbox")
    for name in ("found", "object", "iou"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


@pytest.mark.parametrize(
    ("objects", "rows"),
    [
        ([], []),
        ([], [(5, 5, 20, 0.9, "cat")]),
        ([thing(5, 5, 20)], []),
        ([thing(5, 5, 20, iscrowd=1)], [(5, 5, 20, 0.9, "cat")]),
    ],
)
@pytest.mark.parametrize("masks", [False, True])
def test_nothing_to_find_or_nothing_found(
    objects: list[dict[str, Any]], rows: list[Any], masks: bool
) -> None:
    answers = [(10, found(*rows, masks=True) if rows else Detections.empty())]
    sheet = make_sheet(truth_of(*objects), answers, names=NAMES, masks=masks)
    for kind in sheet.kinds:
        ap = average_precision(sheet.matches(kind))
        if objects and not objects[0].get("iscrowd"):
            assert ap[:, 0].tolist() == [0.0] * 10
        else:
            assert np.isnan(ap).all()
