"""Augmentations as values: presets, files of one's own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.augment.catalog import build_step, transform_names
from detect_tl.augment.find import augmentation_names, find_augmentation
from detect_tl.augment.pipeline import Pipeline
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.errors import DataError, UsageError

PRESETS = ("aerial", "default", "heavy", "light", "low-light", "microscopy", "none")


def test_the_presets_come_in_through_the_plugin_door() -> None:
    assert set(PRESETS) <= set(augmentation_names())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_printed_to_a_file_is_the_same_preset(name: str, tmp_path: Path) -> None:
    preset = find_augmentation(name)
    assert preset.name == name
    assert preset.description
    file = tmp_path / "mine.yaml"
    file.write_text(preset.as_yaml())
    again = find_augmentation(file)
    assert again.as_yaml() == preset.as_yaml()
    assert [str(build_step(s)) for s in again.steps] == [str(build_step(s)) for s in preset.steps]


def test_a_file_may_be_a_list_of_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "- HorizontalFlip\n- OneOf: {p: 0.5, transforms: [ToGray, Blur: {p: 1}]}\n- CLAHE:\n"
    )
    found = find_augmentation(file)
    inner = (Step("ToGray"), Step("Blur", {"p": 1}))
    assert found == Augmentation(
        "mine", "", (Step("HorizontalFlip"), Step("OneOf", {"p": 0.5}, inner), Step("CLAHE"))
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- HorizontalFlop", ["unknown transform 'HorizontalFlop'", "HorizontalFlip"]),
        ("- Affine: {rotat: 3}", ["Affine has no parameter 'rotat'", "'rotate'"]),
        ("- Affine: {rotate: much}", ["Affine", "rotate", "valid"]),
        ("- ToGray: {p: 2}", ["ToGray", "p:", "less than or equal to 1"]),
        ("- Blur: {blur_limit: -4}", ["Blur", "blur_limit"]),  # else put right in silence
        ("- Resize: {p: 1}", ["Resize", "height", "required"]),
        ("- Normalize", ["Normalize cannot be used", "kind of numbers"]),
        ("- RandomGridShuffle", ["into pieces"]),
        ("- FDA", ["unknown transform 'FDA'"]),  # wants a second picture
        ("- Pad: {border_mode: 4}", ["without a label"]),
        ("- Affine: {fill_mask: 3}", ["fill_mask of Affine cannot be chosen"]),
        ("- Affine: {mask_interpolation: 1}", ["a pixel of a mask is the object or is not"]),
        ("- OneOf: {transforms: []}", ["OneOf has no transforms"]),
        ("- OneOf: {q: 1, transforms: [ToGray]}", ["OneOf has no parameter 'q'"]),
        ("transform: []", ["unknown key 'transform'", "'transforms'"]),
        ("transforms: 3", ["transforms must be a list"]),
        ("- [ToGray]", ["transforms[0] must be one transform"]),
        ("- {ToGray: {p: 1}, Blur: {p: 1}}", ["transforms[0] must be one transform"]),
        ("- ToGray: 0.5", ["the parameters of ToGray must be a mapping"]),
        ("null", ["transforms must be a list"]),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        Pipeline(find_augmentation(file))
    for word in words:
        assert word in f"{caught.value} {caught.value.hint}"


def test_names_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown augmentation 'heavi'") as caught:
        find_augmentation("heavi")
    assert "'heavy'" in caught.value.hint
    with pytest.raises(DataError, match="cannot be read"):
        find_augmentation(tmp_path / "gone.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2\n")
    with pytest.raises(DataError, match="broken YAML") as broken:
        find_augmentation(tmp_path / "bad.yaml")
    assert broken.value.line == 2


def test_only_transforms_that_boxes_can_follow_are_on_offer() -> None:
    assert len(transform_names()) > 80
    others = {"Lambda", "ToTensorV2", "Mosaic", "MaskDropout", "CenterCrop3D", "BasicTransform"}
    assert others.isdisjoint(transform_names())
