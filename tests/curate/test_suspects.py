"""What arithmetic lets pass, careful mending leaves as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.columns import Rows, table_of
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.geometry import Box, PolygonMask, box_ring
from detect_tl.core.model_spec import TASKS, Task
from detect_tl.curate.repair import plan_repair
from detect_tl.curate.suspects import suspicious
from tests.formats.worlds import SIZES, instances

SIZE = SIZES[0]
near = st.sampled_from([-9.0, -0.0, 0.0, 1.0, 40.0, 40.0, 90.0, 240.0, 320.0, 330.0])
boxes = st.builds(Box, near, near, near, near)
rings = st.lists(st.tuples(near, near), min_size=1, max_size=5).map(
    lambda points: np.asarray(points, dtype=np.float64)
)
polygons = st.builds(
    PolygonMask,
    st.lists(rings, max_size=2).map(tuple),
    st.lists(rings, max_size=1).map(tuple),
)
odd = st.builds(Instance, st.integers(0, 1), boxes, st.none() | polygons)
fitting = boxes.map(lambda box: Instance(0, box, PolygonMask((box_ring(box),))))
objects = instances(SIZE, 2, masked=True) | instances(SIZE, 2, masked=False) | odd | fitting


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("columns", [False, True])
@settings(max_examples=50, deadline=None)
@given(groups=st.lists(st.lists(objects, max_size=3), max_size=4))
def test_what_is_not_suspicious_needs_no_mending(
    groups: list[list[Instance]], task: Task, columns: bool
) -> None:
    samples = [Sample(Path(f"{k}.png"), SIZE, tuple(g)) for k, g in enumerate(groups)]
    if columns:
        samples = [
            Sample(s.image, SIZE, Rows(table_of(s.instances), 0, len(s.instances))) for s in samples
        ]
    flags = list(suspicious(samples, task))
    assert len(flags) == len(samples)
    names = (Category("a"), Category("b"))
    for flag, sample in zip(flags, samples, strict=True):
        plan = plan_repair(Dataset(names, (sample,)), task)
        if not flag:
            assert plan.dataset.samples == (sample,)
            assert not plan.report.findings
            assert not plan.report.changed
            assert not plan.report.lost


def test_sound_objects_are_not_suspicious() -> None:
    box = Box(10, 10, 60, 50)
    sound = Instance(0, box, PolygonMask((box_ring(box),)))
    other = Instance(1, box, PolygonMask((box_ring(box),)))
    samples = [Sample(Path(f"{k}.png"), SIZE, (sound, other)) for k in range(3)]
    assert not any(suspicious(samples, "segment"))
    assert not any(suspicious(samples, "detect"))
    assert list(suspicious([], "detect")) == []
