"""Which format a folder is in, and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.formats import base
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import ReadOptions
from detect_tl.formats.source import Source, split_name
from tests.formats.makers import coco, image, labelme, read, text, voc, voc_object

CAT = voc_object("cat", 1, 2, 30, 40)


def mixed(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    coco(tmp_path / "a.json", [(1, "a.jpg")], [])


def test_the_choice_is_explained(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    result = read(tmp_path)
    assert result.format == "voc"
    assert result.explanation.startswith("Pascal VOC: 1 .xml file with an <annotation> root")
    against = [line for line in result.explanation.split(";\n") if line.startswith("not ")]
    for other in ("COCO", "LabelMe", "YOLO"):
        assert sum(bool(re.search(rf"\b{other}\b.*: no ", line)) for line in against) == 1
    assert len(against) < len(base.format_names()) - 1, "formats of one kind share a reason"
    assert result.files == (tmp_path / "a.xml",)
    assert result.root == tmp_path


def test_a_mixed_folder_lists_what_is_in_it(tmp_path: Path) -> None:
    mixed(tmp_path)
    with pytest.raises(DataError, match="2 annotation formats are mixed") as caught:
        read(tmp_path)
    assert "such as a.json" in caught.value.message
    assert "such as a.xml" in caught.value.message
    assert "--from coco or voc" in caught.value.hint


def test_folders_of_one_format_each_are_read_together(tmp_path: Path) -> None:
    image(tmp_path / "ours/JPEGImages/a.jpg")
    voc(tmp_path / "ours/Annotations/a.xml", "a.jpg", CAT, voc_object("cow", 1, 2, 30, 40))
    image(tmp_path / "theirs/images/b.jpg")
    dog = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}
    coco(tmp_path / "theirs/annotations/b.json", [(1, "b.jpg")], [dog])
    image(tmp_path / "cover.png")
    result = read(tmp_path)
    assert result.format == "voc+coco"
    assert result.explanation.startswith("ours: Pascal VOC: 1 .xml file")
    assert ";\ntheirs: COCO: 1 .json file" in result.explanation
    assert result.dataset.objects_per_class() == {"cat": 1, "cow": 1, "dog": 1}
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg", "b.jpg"]
    assert result.report.changed["classes-united-by-name"] == 1
    assert result.report.lost["images-not-listed"] == 1
    assert result.report.read["objects"] == 3
    (said,) = (f for f in result.report.findings if f.code == "source.united")
    assert "ours (1 images), theirs (1 images); 1 classes" in said.message


def test_splits_above_the_folders_of_a_format_count(tmp_path: Path) -> None:
    image(tmp_path / "data/train/a.jpg")
    voc(tmp_path / "data/train/a.xml", "a.jpg", CAT)
    image(tmp_path / "data/valid/b.jpg")
    coco(tmp_path / "data/valid/b.json", [(1, "b.jpg")], [])
    assert [s.split for s in read(tmp_path).dataset.samples] == ["train", "val"]


def test_one_format_in_several_folders_is_one_format(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        image(tmp_path / split / f"{split}.jpg")
        coco(tmp_path / split / "_annotations.coco.json", [(1, f"{split}.jpg")], [])
    result = read(tmp_path)
    assert (result.format, len(result.files)) == ("coco", 2)
    assert result.report.count("source.united") == 0


@pytest.mark.parametrize("images", ["images", "voc"])
def test_two_accounts_of_the_same_images_are_refused(tmp_path: Path, images: str) -> None:
    """Folders of their own are not enough: one of them has no images in it."""
    image(tmp_path / images / "a.jpg")
    voc(tmp_path / "voc/a.xml", "a.jpg", CAT)
    coco(tmp_path / "coco/a.json", [(1, "a.jpg")], [])
    with pytest.raises(DataError, match="2 annotation formats are mixed"):
        read(tmp_path)


def test_annotations_of_other_images_are_left_out_and_said(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    stray = coco(tmp_path / "video.json", [(1, "frame_1.jpg")], [])
    result = read(tmp_path)
    assert result.format == "voc"
    assert "not COCO: 1 .json file with" in result.explanation
    assert "none of the images here is in it" in result.explanation
    assert result.report.lost["files-of-another-format"] == 1
    (said,) = (f for f in result.report.findings if f.code == "source.stray-file")
    assert said.path == stray


def test_damaged_annotations_are_no_stray_ones(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    path = coco(tmp_path / "a.json", [(1, "a.jpg")], [])
    path.write_text(path.read_text()[:-3])
    with pytest.raises(DataError, match="2 annotation formats are mixed"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", "<annotat", "<other/>", "\0\0"])
def test_a_file_that_is_no_annotation_leaves_no_image_without_objects(
    tmp_path: Path, content: str
) -> None:
    """Nobody knows what is on the image; as a background it would teach a lie."""
    for name in "ab":
        image(tmp_path / f"{name}.jpg")
        voc(tmp_path / f"{name}.xml", f"{name}.jpg", CAT)
    path = text(tmp_path / "b.xml", content)
    text(tmp_path / "c.xml", content)
    result = read(tmp_path)
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg"]
    assert result.report.lost == {"annotation-files": 1, "images": 1}
    assert result.report.read["images"] == 1
    (said,) = result.report.of("error")
    assert (said.code, said.path) == ("annotation.unrecognised", path)


def test_json_of_other_programs_disturbs_nothing(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    for name, content in STRANGERS.items():
        text(tmp_path / name, content)
    assert read(tmp_path).format == "voc"


STRANGERS = {
    "report.json": '{"read": {"images": 3}, "lost": {}, "findings": [{"code": "a.b"}]}',
    "package.json": '{"name": "x", "version": "1.0", "dependencies": {"y": "^1"}}',
    "results.json": '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}]',
    "config.json": '{"epochs": 3, "imgsz": 640, "split": [0.8, 0.1, 0.1]}',
    "notes.txt": "cat dog\nthe first of May\n",
    "pom.xml": "<project><version>1</version><name>x</name></project>",
    "results.csv": "epoch,loss,mAP50\n1,0.5,0.1\n2,0.4,0.2\n",
    "args.yaml": "epochs: 3\nmodel: yolo11n.pt\n",
    "notebook.ipynb": '{"cells": [], "metadata": {}}',
    "tsconfig.json": '{"compilerOptions": {}, "files": ["a.ts"]}',
    "predictions.geojson": '{"type": "FeatureCollection", "features": []}',
    "empty.json": "",
    "empty.xml": "",
    "empty.csv": "",
    "list.json": "[1, 2, 3]",
}


@pytest.mark.parametrize("name", ["voc", "coco"])
def test_a_format_can_be_asked_for(tmp_path: Path, name: str) -> None:
    mixed(tmp_path)
    result = read(tmp_path, name)
    assert result.format == name
    assert "as asked for" in result.explanation


def test_asking_for_the_wrong_format(tmp_path: Path) -> None:
    mixed(tmp_path)
    with pytest.raises(DataError, match=r'no LabelMe annotations: .*none with "shapes"'):
        read(tmp_path, "labelme")
    with pytest.raises(UsageError, match="unknown format 'vocc'") as caught:
        read(tmp_path, "vocc")
    assert caught.value.hint == "Did you mean 'voc'?"


def test_a_folder_without_annotations_says_what_was_looked_for(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "notes.xml", "<notes/>")
    with pytest.raises(DataError, match="no annotations found beside 1 image: ") as caught:
        read(tmp_path)
    for words in (
        "1 .xml file, but not",
        "Pascal VOC (none with an <annotation> root)",
    ):
        assert words in caught.value.message
    assert "COCO" not in caught.value.message  # there is no .json file that it could be in
    assert caught.value.exit_code == 3
    assert caught.value.hint


@pytest.mark.parametrize(
    ("files", "named", "words"),
    [
        ([], "", "no annotations found beside 0 images: the folder is empty"),
        (["a.jpg", "b.docx"], "", "beside 1 image: no file here could hold any"),
        (["a.jpg", "a.txt"], "", r"no rows of numbers among 1 \.txt file \(not YOLO\)"),
        (["a.jpg", "a.txt"], "a.txt", r"no annotations found: 1 \.txt file, but not KITTI"),
        (["a.jpg", "a.docx"], "a.docx", "no annotations found: no file here could hold any"),
    ],
)
def test_the_reason_comes_without_what_goes_without_saying(
    tmp_path: Path, files: list[str], named: str, words: str
) -> None:
    for name in files:
        text(tmp_path / name, "a cat")
    with pytest.raises(DataError, match=words):
        read(tmp_path / named)


def test_annotations_without_any_image(tmp_path: Path) -> None:
    voc(tmp_path / "in/a.xml", "a.jpg", CAT)
    problem = r"no image could be read; the first problem is: in.a\.xml: image 'a\.jpg' is missing"
    with pytest.raises(DataError, match=problem) as caught:
        read(tmp_path)
    assert caught.value.path == tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "no such file or folder"),
        ("a.jpg", "a picture or a video, not annotations"),
        ("a.mp4", "a picture or a video"),
        ("a.zip", "an archive"),
        ("a.docx", "no annotations found"),
    ],
)
def test_what_is_no_folder_of_annotations(tmp_path: Path, name: str, words: str) -> None:
    if name != "missing":
        text(tmp_path / name, "…")
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path / name)
    assert caught.value.path == tmp_path / name


def test_a_report_can_be_handed_in(tmp_path: Path) -> None:
    mixed(tmp_path)
    assert read_dataset(tmp_path, options=ReadOptions("voc")).report.read["images"] == 1


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("a.json", {"one/a.json"}),
        ("*.json", {"one/a.json", "two/b.json"}),
        ("one/*", {"one/a.json"}),
        ("*/b.json", {"two/b.json"}),
        ("tw*.json", {"two/b.json"}),
    ],
)
def test_only_the_annotation_files_asked_for(tmp_path: Path, wanted: str, kept: set[str]) -> None:
    image(tmp_path / "images/a.jpg")
    image(tmp_path / "images/b.jpg")
    for name in ("one/a", "two/b"):
        coco(tmp_path / f"{name}.json", [(1, f"{name[-1]}.jpg")], [])
    files = read(tmp_path, annotations=wanted).files
    assert {p.relative_to(tmp_path).as_posix() for p in files} == kept


def test_a_pattern_chooses_between_formats(tmp_path: Path) -> None:
    mixed(tmp_path)
    assert read(tmp_path, annotations="*.xml").format == "voc"


@pytest.mark.parametrize("path", ["", "a.json"])
def test_a_pattern_that_no_file_answers_to(tmp_path: Path, path: str) -> None:
    mixed(tmp_path)
    with pytest.raises(UsageError, match=r"--annotations b\*: none of the \d files") as caught:
        read(tmp_path / path, annotations="b*")
    assert caught.value.hint


def test_columns_mean_nothing_to_a_format_without_columns(tmp_path: Path) -> None:
    mixed(tmp_path)
    with pytest.raises(UsageError, match="Pascal VOC does not understand --columns"):
        read(tmp_path, "voc", columns={"image": "file"})


def test_large_files_are_recognised_by_their_ends(tmp_path: Path) -> None:
    """The lists of a large COCO file lie far apart, the image inside a LabelMe file is long."""
    image(tmp_path / "coco/a.jpg")
    names = [(k, f"{k:012}.jpg") for k in range(1000)]
    path = coco(tmp_path / "coco/a.json", names, [])
    source = Source(tmp_path / "coco")
    assert len(source.peek(path)) < path.stat().st_size
    assert base.load_format("coco").sniff(source).matches
    labelme(tmp_path / "me/a.json", "a.jpg", [], imageData="A" * 200_000)
    assert base.load_format("labelme").sniff(Source(tmp_path / "me")).matches


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("train2017", "train"),
        ("valid", "val"),
        ("validation", "val"),
        ("val_2017", "val"),
        ("TEST", "test"),
        ("trainval", None),
        ("trains", None),
        ("2017", None),
        ("", None),
    ],
)
def test_words_that_name_a_split(word: str, split: str | None) -> None:
    assert split_name(word) == split


def test_every_format_on_offer_is_complete() -> None:
    for item in base.load_formats():
        assert base.load_format(item.name) is item
        assert item.title
        assert item.description
        assert "\n" not in item.description
        assert (item.write is None) <= (not item.losses)


def test_a_plugin_that_is_no_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.plugins, "load", lambda *_: "words")
    with pytest.raises(MachineError, match="offers a str, not a Format"):
        base.load_format("words")


def test_the_sample_is_read_whole_although_the_truth_of_its_video_lies_beside(
    repository: Path,
) -> None:
    result = read(repository / "datasets/sample")
    assert result.format == "labelme"
    assert result.report.lost["files-of-another-format"] == 1
    assert len(result.dataset) == len(read(repository / "datasets/sample/images").dataset)


@pytest.mark.parametrize(
    ("folder", "names"),
    [("cvat_ls_pexels", "cvat or label-studio"), ("via_receipts6", "coco or via")],
)
def test_real_folders_with_two_accounts_of_the_same_images(
    shared: Path, folder: str, names: str
) -> None:
    with pytest.raises(DataError, match="2 annotation formats are mixed") as caught:
        read(shared / "data" / folder)
    assert f"--from {names}" in caught.value.hint
    assert "--annotations" in caught.value.hint


def test_real_data_sets_of_two_formats_side_by_side(shared: Path, tmp_path: Path) -> None:
    """As a folder of links, which have to be followed; the classes are the same three."""
    for name in ("coco_fruitnuts", "labelme_fruitnuts"):
        (tmp_path / name).symlink_to(shared / "data" / name, target_is_directory=True)
    result = read(tmp_path, follow_links=True)
    assert result.format == "coco+labelme"
    assert result.dataset.objects_per_class() == {"date": 142, "fig": 82, "hazelnut": 106}
    assert len(result.dataset) == 36
    assert result.report.changed["classes-united-by-name"] == 3


def test_one_account_of_several_by_a_pattern(shared: Path) -> None:
    folder = shared / "data/via_receipts6"
    by_json = read(folder, annotations="*_json.json").dataset
    by_csv = read(folder, annotations="*.csv").dataset
    assert (
        by_json.objects_per_class()
        == by_csv.objects_per_class()
        == {
            "Date": 6,
            "Header": 6,
            "Total": 6,
        }
    )
