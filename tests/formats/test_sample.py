"""The embedded sample says what a perfect reader finds in it; ours does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from detect_tl.core.files import read_json
from detect_tl.curate.convert import convert


def test_the_sample_is_read_as_its_makers_meant_it(repository: Path, tmp_path: Path) -> None:
    sample = repository / "datasets" / "sample"
    expected = read_json(sample / "contents.json")
    result = convert(sample / "images", tmp_path / "converted")
    found = Counter(result.dataset.objects_per_class())
    assert found == expected["objects"]
    assert len(result.dataset) == expected["images"]
    empty = sum(not s.instances for s in result.dataset.samples)
    assert empty == expected["images_without_objects"]
