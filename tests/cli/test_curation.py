"""repair, split, stats, show, merge and filter as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from detect_tl import api
from tests.cli.conftest import Run, coco_file, refused, voc_folder


def said(result: Result) -> dict[str, Any]:
    """The JSON document of a command that succeeded."""
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture
def damaged(pictures: Path) -> Path:
    """The pictures, with one box turned around and a class that is spelled in two ways."""
    path = pictures / "v3.xml"
    path.write_text(path.read_text().replace("<xmin>5<", "<xmin>60<"))
    path = pictures / "v4.xml"
    path.write_text(path.read_text().replace("cat", "Cats"))
    return pictures


def test_repair_says_what_it_did(run: Run, damaged: Path, tmp_path: Path) -> None:
    result = run("repair", damaged, tmp_path / "out", "--unite-classes", "Cats=cat")
    assert result.exit_code == 0, result.output
    assert "2 findings mended:" in result.stdout
    assert "swapped [box.inverted]" in result.stdout
    assert "class 'Cats' (1 objects) became 'cat', as asked for" in result.stdout
    assert (tmp_path / "out/data.yaml").is_file()
    document = said(run("repair", tmp_path / "out", tmp_path / "again", "--json"))
    assert document["mended"]["findings"] == []
    assert document["written"]["objects_per_class"] == {"cat": 10}


@pytest.mark.parametrize("option", ["--plan", "--dry-run"])
def test_a_plan_needs_no_destination_and_writes_none(
    run: Run, damaged: Path, tmp_path: Path, option: str
) -> None:
    document = said(run("repair", damaged, tmp_path / "out", option, "--json"))
    assert document["mended"]["changed"] == {"boxes-turned-right": 1}
    assert document["written"] is None
    assert not (tmp_path / "out").exists()
    result = run("repair", damaged, option)
    assert "1 finding to be mended:" in result.stdout


def test_repair_refuses_what_it_cannot_do(run: Run, pictures: Path, tmp_path: Path) -> None:
    refused(run("repair", pictures), 2, "needs a folder", "--plan")
    out = tmp_path / "out"
    refused(run("repair", pictures, out, "--unite-classes", "dogs=dog"), 2, "no class 'dogs'")
    refused(run("repair", pictures, out, "--unite-classes", "dogs"), 2, "not of the form old=new")
    refused(run("repair", pictures, pictures), 2, "not empty")
    refused(run("repair", tmp_path / "none", out), 3, "no such file or folder")
    assert not out.exists()


def test_split_shows_the_balance(run: Run, pictures: Path, tmp_path: Path) -> None:
    result = run("split", pictures, tmp_path / "out", "--split", "6,2,2", "--link", "hard")
    assert result.exit_code == 0, result.output
    assert "6 (60.0%)" in result.stdout
    assert "at most by 0.0% (cat, 10 objects)" in result.stdout
    document = said(run("split", pictures, tmp_path / "shares", "--split", "0.6,0.4", "--json"))
    (written,) = document["written"]
    assert written["images"] == {"train": 6, "val": 4}
    assert written["balance"]["wanted"] == {"train": 0.6, "val": 0.4}


def test_split_makes_folds(run: Run, pictures: Path, tmp_path: Path) -> None:
    document = said(run("split", pictures, tmp_path / "out", "--folds", "5", "--json"))
    assert [written["images"] for written in document["written"]] == [{"train": 8, "val": 2}] * 5
    assert (tmp_path / "out/fold-5/data.yaml").is_file()


def test_split_refuses_what_it_cannot_do(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(run("split", pictures, out, "--folds", "5", "--split", "0.8,0.2"), 2, "exclude")
    refused(run("split", pictures, out, "--split", "5,4"), 2, "asks for 9 images; there are 10")
    refused(run("split", pictures, out, "--split", "half"), 2, "'half' is not a list")
    refused(run("split", pictures, out, "--group-by", "("), 2, "no regular expression")
    refused(run("split", pictures, out, "--group-by", "video"), 3, "belong to one group")
    refused(run("convert", pictures, out, "--group-by", "nowhere"), 2, "is found in no path")
    assert not out.exists()


def test_stats_are_words_and_numbers(run: Run, pictures: Path) -> None:
    result = run("stats", pictures)
    assert result.exit_code == 0, result.output
    assert "10 images, 10 objects, 1 class\n" in result.stdout
    assert "██████████████████████████████" in result.stdout
    document = said(run("stats", pictures, "--json"))
    assert document["classes"]["cat"]["objects"] == 10
    assert document["image_sizes"] == {"64x48": 10}
    refused(run("stats", pictures / "none"), 3, "no such file or folder")


def test_show_writes_a_folder_or_a_sheet(run: Run, pictures: Path, tmp_path: Path) -> None:
    document = said(run("show", pictures, "--out", tmp_path / "out", "--count", "3", "--json"))
    assert document["shown"] == len(document["files"]) == 3
    assert all(Path(name).is_file() for name in document["files"])
    sheet = tmp_path / "sheet.png"
    result = run("show", pictures, "--out", sheet, "--image", "v1.jpg,v2.*")
    assert result.stdout == f"2 pictures: {sheet}\n"
    with Image.open(sheet) as opened:
        assert opened.width > 960
    refused(run("show", pictures, "--out", tmp_path / "out"), 2, "not empty")
    refused(run("show", pictures, "--class", "cow", "--out", sheet), 2, "no class 'cow'")
    refused(run("show", pictures, "--split", "val", "--out", sheet), 3, "none of 10 images")


def test_without_a_display_show_says_where_the_pictures_are(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("detect_tl.core.screen.sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").rename(tmp_path / "mine")
    for name in ("pictures", "pictures-2"):
        result = run("show", "mine", "--count", "2")
        assert result.stdout == f"2 pictures: {name}\n"
        assert len(list((tmp_path / name).iterdir())) == 2


def test_merge_unites(run: Run, pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    coco_file(other, 4)
    names = tmp_path / "names.yaml"
    names.write_text("cat: animal\n")
    document = said(run("merge", pictures, other, tmp_path / "out", "--map", names, "--json"))
    assert document["objects_per_class"] == {"animal": 14}
    assert document["images"] == {"train": 14}
    result = run("merge", pictures, other, tmp_path / "two", "--map", "cat=dog")
    assert f"written: {tmp_path / 'two'}" in result.stdout
    three = tmp_path / "three"
    refused(run("merge", pictures, three), 2, "one data set cannot be merged")
    refused(run("merge", pictures, other, three, "--map", "cow=ox"), 2, "a class 'cow'")
    refused(run("merge", pictures, other, three, "--map", "a=b,a=c"), 2, "both 'b' and 'c'")
    refused(run("merge", pictures, other, three, "--map", "no.yaml"), 2, "cannot be read")
    names.write_text("- cat\n")
    refused(run("merge", pictures, other, three, "--map", names), 2, "which class becomes which")
    names.write_text("{")
    refused(run("merge", pictures, other, three, "--map", names), 2, "broken YAML")
    assert not three.exists()


def test_what_writing_loses_is_told_with_the_reason(run: Run, tmp_path: Path) -> None:
    """It is counted under a name that a newcomer cannot know."""
    pictures = voc_folder(tmp_path / "pictures", 6)
    path = pictures / "v0.xml"
    path.write_text(path.read_text().replace("</name>", "</name><difficult>1</difficult>"))
    lines = run("convert", pictures, tmp_path / "out").stdout.splitlines()
    assert "lost: yolo-attributes 1 (a row has no attributes)" in lines
    assert sum(line.startswith("lost: ") for line in lines) == 1


def test_filter_keeps_a_part(run: Run, tmp_path: Path) -> None:
    pictures = voc_folder(tmp_path / "pictures", 6)
    path = pictures / "v0.xml"
    path.write_text(path.read_text().replace("cat", "dog"))
    options = ("--classes", "dog", "--with-objects")
    document = said(run("filter", pictures, tmp_path / "out", *options, "--json"))
    assert document["objects_per_class"] == {"dog": 1}
    assert document["report"]["lost"]["images-without-objects"] == 5
    result = run("filter", pictures, tmp_path / "two", "--drop-images", "v1.jpg")
    lines = result.stdout.splitlines()
    assert "lost: images-of-dropped-names 1, objects-on-images-left-out 1" in lines
    refused(run("filter", pictures, tmp_path / "three"), 2, "nothing to filter by")
    refused(run("filter", pictures, tmp_path / "three", "--classes", "cta"), 2, "Did you mean")
    refused(run("filter", pictures, tmp_path / "three", "--split", "dev"), 2, "'dev' is not one")
    assert not (tmp_path / "three").exists()


@pytest.mark.parametrize(
    "words",
    [
        "check {data}",
        "stats {data}",
        "show {data} --out {out}",
        "convert {data} {out} --split 0.5,0.5",
        "repair {data} {out}",
        "split {data} {out} --split 0.5,0.5",
        "merge {data} {more} {out}",
        "filter {data} {out} --classes cat",
        "augment preview {data} --augment none --out {out}.png",
    ],
)
def test_links_are_followed_where_asked_for(run: Run, tmp_path: Path, words: str) -> None:
    """Every verb that reads passes on what it was told of the source."""
    voc_folder(tmp_path / "elsewhere", 2)
    more = voc_folder(tmp_path / "more", 1)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "pictures").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    line = words.format(data=linked, more=more, out=tmp_path / "out").split()
    assert run(*line).exit_code == 3, "there is nothing in the folder itself"
    result = run(*line, "--follow-links")
    assert result.exit_code == 0, result.output


def test_options_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="folow_links"):
        api.repair(tmp_path, None, folow_links=True)  # type: ignore[call-arg]
