"""Labels that a model gave, as a dataset folder that a trainer takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from detect_tl.core.files import read_json
from detect_tl.core.geometry import Box, Size
from detect_tl.core.objects import Instance
from detect_tl.curate.pseudo import Labelled, write_pseudo_labels
from detect_tl.formats.detect import read_dataset


@pytest.mark.parametrize("count", [2, 4, 9, 40])
@pytest.mark.parametrize("with_objects", [1, 2, 100])
def test_there_is_something_to_learn_from_and_to_look_at(
    count: int, with_objects: int, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    labelled: list[Labelled] = []
    for number in range(count):
        path = tmp_path / "images" / f"{number}.png"
        Image.new("RGB", (8, 8)).save(path)
        found = [Instance(1, Box(1, 1, 5, 6))] if number < with_objects else []
        labelled.append((path, Size(8, 8), found))
    settings = {"root": tmp_path / "images", "names": ("a", "b"), "task": "detect"}
    write_pseudo_labels(labelled, tmp_path / "out", told={"teacher": "t"}, **settings)  # type: ignore[arg-type]
    dataset = read_dataset(tmp_path / "out").dataset
    learned, shown = dataset.in_split("train"), dataset.in_split("val")
    assert len(learned) + len(shown) == count
    assert 1 <= len(shown) <= 4
    assert sum(len(sample.instances) for sample in learned) > 0
    taught = read_json(tmp_path / "out" / "provenance.json")["taught"]
    assert taught == {
        "teacher": "t",
        "pictures": count,
        "objects": {"a": 0, "b": min(count, with_objects)},
    }
