"""The bench of rankings: what it trains, and how it compares."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tools.bench_rank import TUNED_FROM, Bench, Run, compare, correlations

DATA = ("a", "b", "c", "d")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    options = argparse.Namespace(work=tmp_path, data=[tmp_path / name for name in DATA])
    return Bench(options)


def test_every_data_set_has_six_candidates_none_of_them_tuned_on_itself(bench: Bench) -> None:
    wanted = list(bench.wanted())
    assert len(set(wanted)) == len(wanted) == 24
    for name in DATA:
        candidates = [candidate for data, candidate in wanted if data == name]
        assert len(candidates) == 6
        assert f"tuned:{name}" not in candidates
    first = {candidate for _, candidate in wanted[: len(DATA)]}
    assert first == {TUNED_FROM}  # others start from these


def test_correlations_tell_order_and_mind_the_top() -> None:
    trained = [0.1, 0.2, 0.3, 0.4]
    assert correlations([1, 2, 3, 4], trained) == (1, 1, 1)
    assert correlations([4, 3, 2, 1], trained) == (-1, -1, -1)
    top, bottom = correlations([1, 2, 4, 3], trained), correlations([2, 1, 3, 4], trained)
    assert top[:2] == bottom[:2] == (0.8, 0.667)
    assert top[2] < 0.667 < bottom[2]


def test_a_ranking_is_compared_with_the_runs_that_are_kept(bench: Bench, tmp_path: Path) -> None:
    trained = {"yolo11n": 0.4, "yolov8n": 0.5, "starter": 0.2, "random": 0.0}
    runs = [Run("a", name, value, [value], 30.0) for name, value in trained.items()]
    bench.file.write_text("".join(json.dumps(asdict(run)) + "\n" for run in runs))
    rows: list[dict[str, Any]] = [
        {"weights": name, "score": score, "depths": []}
        for name, score in (("yolo11n", 0.3), ("yolov8n", 0.2), ("starter", 0.1), ("random", 0.0))
    ]
    (tmp_path / "ranks").mkdir()
    (tmp_path / "ranks" / "a.json").write_text(json.dumps({"candidates": rows, "seconds": 6.0}))
    found = compare(bench, "a")
    assert found["lost_by_the_first"] == pytest.approx(0.1)
    assert found["correlation"]["score"][0] == pytest.approx(0.8)
    assert found["without_random"]["score"][0] == pytest.approx(0.5)
    assert (found["training_seconds"], found["share"]) == (120.0, 0.05)
