"""Whatever is wrong ends in one sentence, a hint and the right exit code; nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import resource
import zipfile
from pathlib import Path

import pytest

from detect_tl.core.files import read_json
from tests.cli.conftest import Run, coco_file, picture, process, refused, voc, voc_folder


def untouched(folder: Path) -> bool:
    """Whether no result, and no scratch folder of one, is there."""
    return not any(path.name.lstrip(".").startswith("out") for path in folder.iterdir())


def convert_is_refused(run: Run, source: Path, *words: str) -> None:
    """`convert` and `check` refuse a source alike, and leave nothing behind."""
    out = source.parent / "out"
    refused(run("convert", source, out), 3, source.name, *words)
    assert untouched(source.parent)
    refused(run("check", source), 3, source.name, *words)


def test_missing_folder(run: Run, tmp_path: Path) -> None:
    convert_is_refused(run, tmp_path / "nowhere", "no such file or folder")


def test_folder_without_annotations(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "bare" / "a.jpg")
    convert_is_refused(run, tmp_path / "bare", "no annotations found", "1 image: ")


def test_empty_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    convert_is_refused(run, tmp_path / "empty", "no annotations found", "the folder is empty")


def test_two_formats_mixed(run: Run, pictures: Path) -> None:
    coco_file(pictures)
    convert_is_refused(run, pictures, "formats are mixed", "--from coco or voc")
    assert run("convert", pictures, pictures.parent / "out", "--from", "voc").exit_code == 0


def test_broken_json(run: Run, tmp_path: Path) -> None:
    path = coco_file(tmp_path / "coco")
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    line = path.read_text().count("\n") + 1
    convert_is_refused(run, tmp_path / "coco", f"annotations.json:{line}", "broken JSON")


def test_broken_xml(run: Run, pictures: Path) -> None:
    path = pictures / "v3.xml"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    convert_is_refused(run, pictures, "v3.xml:5", "broken XML")


@pytest.mark.parametrize(
    "entity", ['"laugh"', '"&b;&b;&b;&b;&b;&b;&b;&b;"', 'SYSTEM "file:///etc/hostname"']
)
def test_entity_bomb(run: Run, pictures: Path, entity: str) -> None:
    path = pictures / "v3.xml"
    head = f'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY laugh {entity}>]>\n'
    path.write_text(head + path.read_text().replace("cat", "&laugh;"))
    convert_is_refused(run, pictures, "v3.xml", "entities")


def converted(run: Run, source: Path) -> dict[str, object]:
    """Convert what can be converted, and return the report."""
    out = source.parent / "out"
    result = run("convert", source, out, "--split", "0.5,0.5", "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, object] = json.loads(result.stdout)["report"]
    assert read_json(out / "report.json")["findings_by_code"] == report["findings_by_code"]
    return report


def findings(report: dict[str, object], code: str) -> list[dict[str, object]]:
    items = report["findings"]
    assert isinstance(items, list)
    return [item for item in items if item["code"] == code]


def test_truncated_image(run: Run, pictures: Path) -> None:
    path = picture(pictures / "v3.jpg", (640, 480))
    path.write_bytes(path.read_bytes()[:-200])
    checked = run("check", pictures)
    assert checked.exit_code == 1
    assert "v3.jpg" in checked.stdout
    assert "error: " in checked.stdout
    converted(run, pictures)
    images = {path.name for path in (pictures.parent / "out" / "images").rglob("*.jpg")}
    assert images == {f"v{k}.jpg" for k in range(10)} - {"v3.jpg"}


def test_image_missing_for_an_annotation(run: Run, pictures: Path) -> None:
    (pictures / "v3.jpg").unlink()
    checked = run("check", pictures)
    assert checked.exit_code == 1
    assert "v3.xml" in checked.stdout
    report = converted(run, pictures)
    assert findings(report, "image.missing")[0]["severity"] == "error"


def test_annotation_missing_for_an_image_is_a_background(run: Run, pictures: Path) -> None:
    (pictures / "v3.xml").unlink()
    assert run("check", pictures).exit_code == 0
    converted(run, pictures)
    out = pictures.parent / "out"
    assert len(list((out / "images").rglob("*.jpg"))) == 10
    assert [path.read_text() for path in (out / "labels").rglob("v3.txt")] in ([], [""])
    listed = [
        image["file_name"]
        for path in (out / "annotations").glob("*.json")
        for image in read_json(path)["images"]
    ]
    assert "v3.jpg" in listed


def test_unknown_class(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    for index in range(6):
        picture(root / "images" / f"a{index}.jpg")
        (root / "labels").mkdir(exist_ok=True)
        rows = "0 0.5 0.5 0.2 0.2\n" + ("7 0.5 0.5 0.2 0.2\n" if index == 2 else "")
        (root / "labels" / f"a{index}.txt").write_text(rows)
    (root / "data.yaml").write_text("names: [cat, dog]\n")
    checked = run("check", root)
    assert checked.exit_code == 1
    assert "a2.txt:2: " in checked.stdout
    assert "class 7" in checked.stdout


def test_unknown_weights_name(run: Run, pictures: Path) -> None:
    for arguments in (
        ("weights", "info", "yolo111n"),
        ("weights", "path", "yolo111n"),
        ("weights", "fetch", "yolo111n"),
        ("train", pictures, "--weights", "yolo111n", "--out", pictures.parent / "out"),
        ("eval", "yolo111n", pictures),
        ("export", "yolo111n"),
        ("predict", "yolo111n", pictures),
    ):
        refused(run(*arguments), 4, "yolo111n", "Did you mean 'yolo11n'?")
    assert untouched(pictures.parent)


def test_weights_that_cannot_be_fetched(run: Run) -> None:
    refused(run("weights", "fetch", "yolo11n"), 4, "yolo11n.pt", "DETECT_TL_WEIGHTS")


def test_wrong_checksum(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures.parent / "weights"
    folder.mkdir()
    (folder / "yolo11n.pt").write_bytes(b"something else")
    monkeypatch.setenv("DETECT_TL_WEIGHTS", str(folder))
    out = pictures.parent / "out"
    refused(run("train", pictures, "--out", out), 4, "yolo11n.pt", "SHA-256", "--trust")
    refused(run("weights", "path", "yolo11n"), 4, "SHA-256")
    assert untouched(pictures.parent)


class Canary:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def test_checkpoint_that_would_run_code(run: Run, pictures: Path) -> None:
    path, canary = pictures.parent / "evil.pt", pictures.parent / "canary"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"model": Canary(canary)}, protocol=2))
        archive.writestr("archive/version", "3\n")
    out = pictures.parent / "out"
    for arguments in (
        ("weights", "info", path),
        ("train", pictures, "--weights", path, "--out", out),
        ("eval", path, pictures),
        ("export", path, "--out", out.with_suffix(".onnx")),
        ("predict", path, pictures, "--out", out),
    ):
        refused(run(*arguments), 4, "evil.pt", "refused", "mkdir", "--trust")
    assert not canary.exists()
    assert untouched(pictures.parent)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", "page"),
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "checkpoint"),
    ],
)
def test_file_that_is_no_checkpoint(run: Run, pictures: Path, content: bytes, word: str) -> None:
    path, out = pictures.parent / "model.pt", pictures.parent / "out"
    path.write_bytes(content)
    for arguments in (
        ("train", pictures, "--weights", path, "--out", out),
        ("weights", "info", path),
        ("eval", path, pictures),
    ):
        told = refused(run(*arguments), 4, "model.pt")
        assert word in " ".join(told).lower()
    assert untouched(pictures.parent)


def test_no_training_images_after_the_split(run: Run, tmp_path: Path) -> None:
    source = voc_folder(tmp_path / "few", 1)
    refused(run("convert", source, tmp_path / "out"), 3, "no image for", "--split")
    result = run("convert", voc_folder(tmp_path / "more"), tmp_path / "out", "--split", "0,0.5,0.5")
    refused(result, 2, "split")
    assert untouched(tmp_path)


def test_disk_full(run: Run, pictures: Path, small_disk: Path | None) -> None:
    if small_disk is None:
        pytest.skip("this user may not mount a small disk; the test below needs none")
    for index in range(10):
        picture(pictures / f"v{index}.jpg", (1000, 1000))
    result = run("convert", pictures, small_disk / "out")
    refused(result, 5, "disk is full", str(small_disk / "out"), "Free some space")
    assert list(small_disk.iterdir()) == []


def test_quota_exceeded(pictures: Path) -> None:
    """Also where no disk can be mounted: the system refuses to let a file grow."""
    picture(pictures / "v3.jpg", (1000, 1000))
    out = pictures.parent / "out"
    done = process(
        ["convert", pictures, out, "-q"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert str(out) in done.stderr
    assert untouched(pictures.parent)


def test_camera_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"never read")
    result = run("predict", model, "93", "--out", tmp_path / "out")
    refused(result, 5, "camera 93")
    assert untouched(tmp_path)


def test_stream_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"never read")
    result = run("predict", model, "rtsp://127.0.0.1:9/none", "--out", tmp_path / "out")
    refused(result, 5, "rtsp://127.0.0.1:9/none")
    assert untouched(tmp_path)


def test_frames_on_standard_input_that_nobody_described(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"never read")
    refused(run("predict", model, "-"), 2, "carry no size", "--stdin-size")
    refused(run("predict", model, "-", "--stdin-size", "64"), 2, "not a size such as 1280x720")
    refused(run("predict", model, "-", "--stdin-size", "0x9"), 2, "side below 1")
    refused(run("predict", model, "-", "--stdin-fps", "0"), 2, "0")
    assert untouched(tmp_path)


def test_no_display_is_said_before_the_model_is_looked_at(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detect_tl.core.screen.has_display", lambda: False)
    words = "no display", "detect-tl serve MODEL", "--out"
    refused(run("predict", tmp_path / "none.onnx", "0", "--show"), 5, *words)


def test_source_that_is_not_there(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"no model")
    refused(run("predict", tmp_path / "none.onnx", tmp_path), 4, "none.onnx")
    refused(run("predict", model, tmp_path / "none.mp4", "--out", tmp_path / "out"), 3, "none.mp4")
    photo = picture(tmp_path / "a.jpg")
    refused(run("predict", model, photo, "--out", tmp_path / "out"), 4, "model.onnx")
    assert untouched(tmp_path)


def test_output_folder_that_is_taken(run: Run, pictures: Path) -> None:
    out = pictures.parent / "run"
    out.mkdir()
    (out / "config.json").write_text("mine")
    for arguments in (
        ("train", pictures, "--out", out),
        ("convert", pictures, out),
        ("predict", "yolo11n", pictures, "--out", out),
    ):
        refused(run(*arguments), 2, "run", "already exists")
    assert [path.name for path in out.iterdir()] == ["config.json"]
    assert (out / "config.json").read_text() == "mine"


def test_output_folder_inside_the_source(run: Run, pictures: Path) -> None:
    refused(run("convert", pictures, pictures / "out"), 2, "inside the source")
    assert untouched(pictures)


def test_what_is_no_run(run: Run, pictures: Path) -> None:
    refused(run("resume", pictures), 2, "not a run folder")
    refused(run("eval", pictures), 4, "weights/best.pt")


def test_nothing_to_evaluate_on(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"no model")
    refused(run("eval", model), 2, "nothing to measure", "DATA")


def test_split_that_is_not_there(run: Run, pictures: Path) -> None:
    out = pictures.parent / "out"
    assert run("convert", pictures, out, "--split", "0.5,0.5").exit_code == 0
    model = pictures.parent / "model.onnx"
    model.write_bytes(b"no model")
    refused(run("eval", model, out, "--split", "test"), 3, "no test split", "--split")


def test_unknown_format(run: Run, pictures: Path) -> None:
    out = pictures.parent / "out"
    refused(run("convert", pictures, out, "--from", "vok"), 2, "vok", "'voc'")
    refused(run("convert", pictures, out, "--to", "yolo,coko"), 2, "coko", "'coco'")
    assert untouched(pictures.parent)


def test_class_names_that_differ_in_case_are_one(run: Run, pictures: Path) -> None:
    voc(pictures, "v3", "Cat")
    report = converted(run, pictures)
    assert findings(report, "class.case-variant")
