"""Laws for what every reader on offer makes of damaged files.

Only a DetectTLError may end a reading; what is read is sound; what goes missing is said.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.core.dataset import Dataset, Instance
from detect_tl.core.errors import DataError, DetectTLError
from detect_tl.core.geometry import PolygonMask, RleMask
from detect_tl.formats.base import format_names
from detect_tl.formats.detect import ReadResult
from tests.formats.makers import read
from tests.formats.mutations import damaged
from tests.formats.seeds import SEEDS, annotations_of

NAMES = [name for name in format_names() if name in SEEDS]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per format; a test that changes a file in one puts it back."""
    folders = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    for name, folder in folders.items():
        SEEDS[name](folder)
    return folders


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LabelMe files may carry images, which are unpacked into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_every_format_has_a_seed() -> None:
    assert set(NAMES) == set(format_names()), "write one in tests/formats/seeds.py"


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_sound(seeded: dict[str, Path], name: str) -> None:
    result = read(seeded[name])
    assert result.format == name
    assert not result.report.lost
    assert len(result.dataset) == 2
    assert all(len(s.instances) for s in result.dataset.samples)
    assert len(result.dataset.names) > 1
    assert_sound(result)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("left", [0.0, 0.02, 0.5, 0.98])
def test_a_file_cut_off_is_never_passed_over(
    seeded: dict[str, Path], name: str, left: float
) -> None:
    """Text and tables may end anywhere; JSON and XML may not, and hold no image without objects."""
    for path in annotations_of(seeded[name]):
        whole = path.read_bytes()
        if path.suffix not in (".json", ".xml") or path.name in _HELPERS:
            continue
        path.write_bytes(whole[: int(len(whole) * left)])
        try:
            report = read(seeded[name], name).report
            assert report.lost, path
            assert list(report.of("error")), path
        except DataError as error:
            assert error.hint or error.path  # noqa: PT017
        finally:
            path.write_bytes(whole)


# What only adds to annotations that can be read without it.
_HELPERS = frozenset({"meta.json"})


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files(seeded: dict[str, Path], name: str, data: st.DataObject) -> None:
    check_damaged(seeded[name], name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files_in_depth(seeded: dict[str, Path], name: str, data: st.DataObject) -> None:
    check_damaged(seeded[name], name, data)


def check_damaged(folder: Path, name: str, data: st.DataObject) -> None:
    files = annotations_of(folder)
    path = files[data.draw(st.integers(0, len(files) - 1), label="file")]
    whole = path.read_bytes()
    content = data.draw(damaged(path), label=path.name)
    try:
        path.write_bytes(content)
        result = read(folder, name)
    except DetectTLError:
        return
    finally:
        path.write_bytes(whole)
    assert_sound(result)


def assert_sound(result: ReadResult) -> None:
    """What later steps rely on, whatever the file said."""
    dataset = result.dataset
    assert len(set(dataset.names)) == len(dataset.names)
    assert all(isinstance(name, str) and name for name in dataset.names)
    for sample in dataset.samples:
        assert sample.image.is_file()
        assert min(sample.size) > 0
        for item in sample.instances:
            assert_sound_object(item, dataset)
    for finding in result.report.findings:
        assert finding.message
        assert finding.severity in ("error", "warning", "info")
        assert finding.line is None or finding.line > 0
    assert all(count > 0 for count in result.report.lost.values())


def assert_sound_object(item: Instance, dataset: Dataset) -> None:
    assert 0 <= item.category < len(dataset.categories)
    assert all(type(value) is float and math.isfinite(value) for value in item.box), item.box
    if isinstance(item.mask, PolygonMask):
        for ring in (*item.mask.parts, *item.mask.holes):
            assert ring.ndim == 2
            assert ring.shape[1] == 2
            assert np.isfinite(ring).all()
    elif isinstance(item.mask, RleMask):
        assert sum(item.mask.counts) == item.mask.size.width * item.mask.size.height
        assert min(item.mask.counts) >= 0
