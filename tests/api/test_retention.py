"""What a run that learned new classes still knows of the old ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from detect_tl.api.evaluation import evaluate
from detect_tl.api.retention import measure_retention
from detect_tl.core.errors import DataError
from detect_tl.core.progress import Silent
from detect_tl.formats.detect import read_dataset
from detect_tl.training.run import train
from tests.training.conftest import shapes, small_checkpoint  # noqa: F401  # fixtures
from tests.training.test_run import config


def old_pictures(shapes: Path, folder: Path, *, disc: str, square: str) -> Path:  # noqa: F811
    """Labelled pictures of other classes; they are other images than those of the new data."""
    old = shutil.copytree(shapes, folder)
    text = (old / "data.yaml").read_text()
    (old / "data.yaml").write_text(text.replace("disc", disc).replace("square", square))
    for picture in old.rglob("*.png"):
        with picture.open("ab") as stream:
            stream.write(b"old")
    return old


@pytest.mark.slow
def test_kept_classes_are_measured_before_and_after_and_replayed(
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    old = old_pictures(shapes, tmp_path / "old", disc="class 7", square="stranger")
    settings = config(
        shapes,
        small_checkpoint,
        tmp_path / "run",
        strategy="head",
        epochs=1,
        keep_classes=("class 7",),
        keep_by="distil",
        replay=old,
        yardstick=old,
    )
    run = train(settings).run
    dataset = read_dataset(run.dataset()).dataset
    assert dataset.names == ["class 7", "disc", "square"]
    assert dataset.objects_per_class()["class 7"] > 0
    found = measure_retention(run, Silent())
    assert found is not None
    assert list(found.classes) == ["class 7"]
    for model, value in ((small_checkpoint, found.before), (run.path, found.after)):
        scores = evaluate(model, old, split="all", imgsz=64, engine="pycocotools").metrics.box
        ours = {each.name: each.ap for each in scores.per_class}["class 7"]
        assert value == pytest.approx(ours, abs=1e-6)
    shutil.copy(shapes / "data.yaml", old)
    with pytest.raises(DataError, match="shows no class that is kept"):
        measure_retention(run, Silent())


@pytest.mark.slow
def test_a_branch_forgets_nothing(
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Not even where new classes are found in every corner of the old pictures."""
    old = old_pictures(shapes, tmp_path / "old", disc="class 7", square="class 3")
    settings = {"epochs": 1, "keep_classes": ("class 3", "class 7"), "yardstick": old}
    run = train(config(shapes, small_checkpoint, tmp_path / "run", **settings)).run
    found = measure_retention(run, Silent())
    assert found is not None
    assert set(found.classes) == {"class 3", "class 7"}
    assert all(before == pytest.approx(after) for before, after in found.classes.values())
