"""Our numbers against pycocotools' own summary, and the laws any score must obey."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pycocotools import mask as coder
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError, UsageError
from detect_tl.evaluation import coco_eval
from detect_tl.evaluation.coco_eval import ENGINES, Engine
from detect_tl.evaluation.metrics import Metrics
from detect_tl.evaluation.sheet import make_sheet
from detect_tl.evaluation.truth import load_truth, truth_detections, unpack_mask

NAMES = ("cat", "dog", "bird")

used: list[Engine] = ["faster-coco-eval"]


@pytest.fixture(scope="module", autouse=True, params=ENGINES)
def engine(request: pytest.FixtureRequest) -> None:
    """Everything here holds for every engine."""
    used[0] = request.param


def evaluate(*arguments: Any, **more: Any) -> Metrics:
    return coco_eval.evaluate(*arguments, **more, engine=used[0])


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def truth_of(*objects: dict[str, Any], images: int = 1, names: Sequence[str] = NAMES) -> dict:
    """COCO JSON with 100x80 images and categories whose ids have gaps, as COCO's have."""
    return {
        "images": [
            {"id": 10 + i, "width": 100, "height": 80, "file_name": f"{i}.jpg"}
            for i in range(images)
        ],
        "categories": [{"id": 3 + 7 * i, "name": name} for i, name in enumerate(names)],
        "annotations": [{"id": i, "iscrowd": 0, **item} for i, item in enumerate(objects)],
    }


def thing(
    x: float, y: float, side: float, *, name: str = "cat", image: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "image_id": 10 + image,
        "category_id": 3 + 7 * NAMES.index(name),
        "bbox": [x, y, side, side],
        "area": side * side,
        "segmentation": [square(x, y, side)],
        **more,
    }


def found(*rows: tuple[float, float, float, float, str], masks: bool = False) -> Detections:
    """Squares (x, y, side, score, name) as detections, with filled masks when asked for."""
    bitmaps = np.zeros((len(rows), 80, 100), bool)
    for bitmap, (x, y, side, _, _) in zip(bitmaps, rows, strict=True):
        bitmap[int(y) : int(y + side), int(x) : int(x + side)] = True
    return Detections(
        np.array([(x, y, x + s, y + s) for x, y, s, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([row[3] for row in rows], np.float32),
        np.array([NAMES.index(row[4]) for row in rows], np.int64),
        bitmaps if masks else None,
    )


def random_case(seed: int, images: int = 6) -> tuple[dict, list[tuple[int, Detections]]]:
    """Crowded images with crowds among them, and detections that are half right."""
    rng = np.random.default_rng(seed)
    objects, predictions = [], []
    for image in range(images):
        rows = []
        for _ in range(rng.integers(0, 12)):
            x, y, side = rng.uniform(0, 60), rng.uniform(0, 40), rng.uniform(3, 38)
            name = NAMES[rng.integers(0, 2)]  # no "bird" in the truth
            crowd = bool(rng.random() < 0.15)
            objects.append(thing(x, y, side, name=name, image=image, iscrowd=int(crowd)))
            if rng.random() < 0.8:
                dx, dy = rng.normal(0, side / 10, 2)
                shown = NAMES[rng.integers(0, 3)] if rng.random() < 0.2 else name
                rows.append((max(x + dx, 0), max(y + dy, 0), side, float(rng.random()), shown))
        predictions.append((10 + image, found(*rows, masks=True)))
    return truth_of(*objects, images=images), predictions


def official(truth: dict, predictions: list[tuple[int, Detections]], kind: str) -> np.ndarray:
    """COCOeval.stats by the documented way: loadRes, evaluate, accumulate, summarize."""
    rows = []
    for image_id, item in predictions:
        for k in range(len(item)):
            x1, y1, x2, y2 = item.xyxy[k].astype(float).tolist()
            row = {
                "image_id": image_id,
                "category_id": 3 + 7 * int(item.class_id[k]),
                "score": float(item.score[k]),
            }
            if kind == "bbox":
                row["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            else:
                row["segmentation"] = coder.encode(np.asfortranarray(item.mask[k].astype(np.uint8)))
            rows.append(row)
    fixed = json.loads(json.dumps(truth))
    for number, item in enumerate(fixed["annotations"], start=1):
        item["id"] = number
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = fixed
        index.createIndex()
        run = COCOeval(index, index.loadRes(rows), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_the_official_summary(seed: int) -> None:
    truth, predictions = random_case(seed)
    metrics = evaluate(truth, predictions, names=NAMES, masks=True, max_det=100)
    for kind, scores in (("bbox", metrics.box), ("segm", metrics.mask)):
        got = [scores.map50_95, scores.map50, scores.map75]
        got += [scores.small, scores.medium, scores.large]
        want = official(truth, predictions, kind)
        np.testing.assert_allclose([-1 if v is None else v for v in got], want[:6], atol=1e-12)
        assert scores.ar == pytest.approx(want[8], abs=1e-12)


@given(seed=st.integers(0, 2**16), shuffle=st.permutations(range(3)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_classes_and_images_does_not_matter(seed: int, shuffle: list[int]) -> None:
    truth, predictions = random_case(seed, images=3)
    plain = evaluate(truth, predictions, names=NAMES)
    names = [NAMES[k] for k in shuffle]
    moved = [
        (i, Detections(d.xyxy, d.score, np.array([shuffle.index(c) for c in d.class_id], np.int64)))
        for i, d in reversed(predictions)
    ]
    again = evaluate(truth, moved, names=names)
    assert {c.name: c.ap for c in plain.box.per_class} == pytest.approx(
        {c.name: c.ap for c in again.box.per_class}
    )


@given(seed=st.integers(0, 2**16))
@settings(max_examples=10, deadline=None)
def test_every_score_is_a_fraction_and_all_is_the_mean_of_the_classes(seed: int) -> None:
    truth, predictions = random_case(seed, images=3)
    scores = evaluate(truth, predictions, names=NAMES).box
    aps = [c.ap for c in scores.per_class if c.ap is not None]
    assert all(0 <= value <= 1 for value in aps)
    assert scores.map50_95 == (pytest.approx(np.mean(aps)) if aps else None)
    assert [c.ap is None for c in scores.per_class] == [c.objects == 0 for c in scores.per_class]


def test_the_truth_itself_scores_one() -> None:
    objects = [thing(5, 5, 10), thing(40, 20, 30, name="dog"), thing(0, 0, 60, image=1)]
    truth = truth_of(*objects, images=2)
    loaded = load_truth(truth, masks=True)
    predictions = [(i, truth_detections(loaded, i, NAMES)) for i in (10, 11)]
    metrics = evaluate(loaded, predictions, names=NAMES, masks=True)
    assert metrics.box.map50_95 == metrics.mask.map50_95 == pytest.approx(1.0)
    assert (metrics.images, metrics.objects, metrics.crowds, metrics.detections) == (2, 3, 0, 3)


def test_an_annotation_with_id_zero_can_be_found() -> None:
    # pycocotools writes the id of the matched truth down and takes 0 for "none"
    metrics = evaluate(
        truth_of(thing(5, 5, 10)), [(10, found((5, 5, 10, 0.9, "cat")))], names=NAMES
    )
    assert metrics.box.map50_95 == pytest.approx(1.0)


def test_no_predictions_score_zero_where_there_is_truth() -> None:
    metrics = evaluate(truth_of(thing(5, 5, 10)), [], names=NAMES)
    assert metrics.box.map50_95 == 0.0
    assert [c.ap for c in metrics.box.per_class] == [0.0, None, None]
    assert evaluate(truth_of(thing(5, 5, 10)), [(10, Detections.empty())], names=NAMES) == metrics


def test_an_empty_truth_scores_nothing_and_says_so() -> None:
    predictions = [(10, found((5, 5, 10, 0.9, "cat")))]
    metrics = evaluate(truth_of(), predictions, names=NAMES)
    assert metrics.box.map50_95 is None
    assert metrics.box.ar is None
    assert [f.code for f in metrics.findings] == ["eval.no-truth"]
    assert metrics.table_rows()[0] == ("all", "1", "0", "-", "-")


def test_a_detection_inside_a_crowd_is_ignored() -> None:
    crowd = thing(30, 10, 60, iscrowd=1)
    rows = [(5, 5, 10, 0.8, "cat"), (40, 30, 10, 0.9, "cat")]
    alone = evaluate(truth_of(thing(5, 5, 10)), [(10, found(*rows))], names=NAMES)
    within = evaluate(truth_of(thing(5, 5, 10), crowd), [(10, found(*rows))], names=NAMES)
    assert alone.box.map50_95 == pytest.approx(0.5)
    assert within.box.map50_95 == pytest.approx(1.0)
    assert (within.objects, within.crowds) == (1, 1)


def test_more_than_a_hundred_objects_of_a_class_can_all_be_found() -> None:
    objects = [thing(9 * (i % 11), 5 * (i // 11), 4) for i in range(150)]
    rows = [(9 * (i % 11), 5 * (i // 11), 4, 0.9, "cat") for i in range(150)]
    predictions = [(10, found(*rows))]
    assert evaluate(truth_of(*objects), predictions, names=NAMES).box.ar == pytest.approx(1.0)
    capped = evaluate(truth_of(*objects), predictions, names=NAMES, max_det=100)
    assert capped.box.ar == pytest.approx(100 / 150)


def test_classes_known_to_one_side_only_are_reported() -> None:
    truth = truth_of(thing(5, 5, 10), thing(40, 20, 30, name="dog"), names=("cat", "dog"))
    item = found((5, 5, 10, 0.9, "cat"), (60, 20, 9, 0.95, "bird"))
    # the model knows "bird" and "cat" (in this order), the truth "cat" and "dog"
    moved = Detections(item.xyxy, item.score, np.array([1, 0], np.int64))
    metrics = evaluate(truth, [(10, moved)], names=["bird", "cat"])
    assert [(c.name, c.ap) for c in metrics.box.per_class] == [
        ("cat", pytest.approx(1.0)),
        ("dog", 0.0),
        ("bird", None),
    ]
    assert metrics.box.map50_95 == pytest.approx(0.5)
    assert [(f.code, f.severity) for f in metrics.findings] == [
        ("eval.class-not-in-model", "warning"),
        ("eval.class-not-in-truth", "warning"),
    ]


def test_masks_are_not_judged_where_the_truth_has_only_a_box() -> None:
    objects = [thing(5, 5, 10), thing(40, 20, 30, segmentation=[])]
    item = found((5, 5, 10, 0.8, "cat"), (42, 20, 20, 0.9, "cat"), masks=True)
    metrics = evaluate(truth_of(*objects), [(10, item)], names=NAMES, masks=True)
    assert metrics.mask.map50_95 == pytest.approx(1.0)
    assert metrics.box.map50_95 < 1.0
    assert [f.code for f in metrics.findings] == ["eval.object-without-mask"]


def test_masks_are_scored_by_their_shape_not_their_box() -> None:
    cut = thing(10, 10, 40, segmentation=[[10, 10, 50, 10, 50, 50, 10, 40]])
    item = found((10, 10, 40, 0.9, "cat"), masks=True)
    metrics = evaluate(truth_of(cut), [(10, item)], names=NAMES, masks=True)
    assert metrics.box.map50_95 == pytest.approx(1.0)
    assert metrics.mask.map50_95 == pytest.approx(0.8)  # IoU 1400/1600: passes .50 to .85


def test_a_class_named_twice_is_one_class() -> None:
    truth = truth_of(thing(5, 5, 10), thing(40, 20, 30, name="dog"), names=("cat", "cat"))
    item = found((5, 5, 10, 0.9, "cat"), (40, 20, 30, 0.9, "cat"))
    metrics = evaluate(truth, [(10, item)], names=["cat"])
    assert metrics.box.map50_95 == pytest.approx(1.0)
    assert len(metrics.box.per_class) == 1


def test_the_truth_is_not_changed() -> None:
    truth, predictions = random_case(1)
    before = json.dumps(truth, sort_keys=True)
    evaluate(truth, predictions, names=NAMES, masks=True)
    assert json.dumps(truth, sort_keys=True) == before


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(*random_case(2), names=NAMES, masks=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"category_id": 99}, "annotation 0 names an unknown image or category"),
        ({"image_id": 99}, "annotation 0 names an unknown image or category"),
        ({"bbox": [1, 2, 3]}, "annotation 0 cannot be used"),
        ({"bbox": None}, "annotation 0 cannot be used"),
        ({"segmentation": {"size": [80, 100], "counts": [5]}}, "run lengths do not add up"),
        ({"segmentation": {"size": [100, 80], "counts": [8000]}}, "its mask is [100, 80]"),
        ({"segmentation": {"size": [80, 100], "counts": "d\x01"}}, "damaged run lengths"),
    ],
)
def test_a_truth_that_cannot_be_used_names_file_and_annotation(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = tmp_path / "val.json"
    path.write_text(json.dumps(truth_of({**thing(5, 5, 10), **change})))
    with pytest.raises(DataError) as caught:
        evaluate(path, [], names=NAMES, masks=True)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": []}', "{", '"x"'])
def test_a_file_that_is_not_coco_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "val.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"val\.json"):
        evaluate(path, [], names=NAMES)


def test_a_prediction_for_an_unknown_image_is_refused() -> None:
    with pytest.raises(DataError, match="image 77"):
        evaluate(truth_of(thing(5, 5, 10)), [(77, found((5, 5, 10, 0.9, "cat")))], names=NAMES)


def test_masks_of_a_box_detector_are_refused() -> None:
    item = found((5, 5, 10, 0.9, "cat"))
    with pytest.raises(UsageError, match="boxes only"):
        evaluate(truth_of(thing(5, 5, 10)), [(10, item)], names=NAMES, masks=True)


def test_packed_and_plain_run_lengths_and_polygons_are_the_same_truth() -> None:
    ring = [square(5, 5, 20)]
    packed = coder.merge(coder.frPyObjects(ring, 80, 100))
    bitmap = unpack_mask(packed)
    flat = bitmap.T.reshape(-1).astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    plain = np.diff([0, *edges, flat.size]).tolist()
    kinds = [
        ring,
        {"size": [80, 100], "counts": packed["counts"].decode()},
        {"size": [80, 100], "counts": plain},
    ]
    truths = [load_truth(truth_of(thing(5, 5, 20, segmentation=s)), masks=True) for s in kinds]
    masks = [truth_detections(t, 10, NAMES).mask for t in truths]
    assert all(np.array_equal(mask[0], bitmap) for mask in masks)


def test_what_is_found_of_a_class_nobody_looked_for_counts_neither_way() -> None:
    """As LVIS counts it. On the other image the same answer is a false alarm."""
    images = [{"id": k, "file_name": f"{k}.png", "width": 100, "height": 80} for k in (1, 2)]
    truth = {
        "images": images,
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]},
            {"id": 2, "image_id": 2, "category_id": 2, "bbox": [10, 10, 20, 20]},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    right = np.array([[10, 10, 30, 30]], np.float32)
    both = np.array([[50, 10, 90, 70], [10, 10, 30, 30]], np.float32)
    answers = [
        (1, Detections(right, np.array([0.5], np.float32), np.array([0]))),
        (2, Detections(both, np.array([0.9, 0.5], np.float32), np.array([0, 1]))),
    ]
    names = ("cat", "dog")
    wrong = evaluate(truth, answers, names=names)
    assert wrong.box.map50 == pytest.approx(0.75, abs=0.01)
    truth["images"] = [images[0], {**images[1], "not_exhaustive_category_ids": [1]}]
    sheet = make_sheet(truth, answers, names=names)
    found = evaluate(truth, answers, names=names)
    assert found.box.map50 == pytest.approx(1.0)
    assert (found.objects, found.crowds) == (2, 0)
    assert not sheet.matches("bbox").counted[:, sheet.found.score > 0.8].any()
