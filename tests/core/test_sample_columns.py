"""Samples in columns are the samples, without what they are said to leave out."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

from hypothesis import given, strategies as st

from detect_tl.core.columns import Rows, table_of
from detect_tl.core.dataset import NO_ATTRIBUTES, Instance, Sample, Samples
from detect_tl.core.geometry import Box, Size
from detect_tl.core.sample_columns import SampleColumns, joined
from tests.formats.worlds import SIZES, instances

paths = st.text(
    st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1
).map(lambda name: Path("/data", name))
drawn = st.builds(
    Sample,
    paths,
    st.sampled_from(SIZES),
    st.lists(
        instances(SIZES[0], 3, masked=False) | instances(SIZES[0], 3, masked=True), max_size=3
    ),
    st.sampled_from(["train", "val", "test", None]),
    st.sampled_from([Path("a.tar"), Path("b.tar"), None]),
)


def plain(sample: Sample) -> Sample:
    items = [replace(i, mask=None, attributes=NO_ATTRIBUTES) for i in sample.instances]
    return replace(sample, instances=items)


@given(parts=st.lists(st.lists(drawn, max_size=4), max_size=4))
def test_columns_are_the_samples(parts: list[list[Sample]]) -> None:
    columns = joined([pickle.loads(pickle.dumps(SampleColumns.of(p))) for p in parts])  # noqa: S301
    wanted = [plain(sample) for part in parts for sample in part]
    assert len(columns) == len(wanted)
    assert list(columns) == wanted
    assert [columns[k] for k in range(len(wanted))] == wanted
    assert columns[1:3] == tuple(wanted[1:3])


def test_classes_are_renumbered() -> None:
    sample = Sample(Path("a.jpg"), Size(9, 9), [Instance(0, Box(1, 2, 3, 4))] * 2)
    (found,) = SampleColumns.of([sample]).renumbered([5])
    assert [item.category for item in found.instances] == [5, 5]


@given(some=st.lists(drawn, max_size=4))
def test_samples_travel_whole(some: list[Sample]) -> None:
    table = table_of(item for sample in some for item in sample.instances)
    held, start = [], 0
    for sample in some:
        stop = start + len(sample.instances)
        held.append(replace(sample, instances=Rows(table, start, stop)))
        start = stop
    back = pickle.loads(pickle.dumps(Samples(held)))  # noqa: S301
    assert back == some
