from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.dataset import Instance
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box
from detect_tl.formats.detect import ReadResult
from tests.formats.makers import image, read, text

INFO = "[Sequence]\nname=s\nimDir={folder}\nseqLength=2\nimWidth=100\nimHeight=80\nimExt=.jpg\n"


def sequence(
    folder: Path, *rows: str, frames: int = 2, labels: str | None = None, images: str = "img1"
) -> Path:
    for frame in range(1, frames + 1):
        image(folder / images / f"{frame:06d}.jpg")
    if labels is not None:
        text(folder / "gt/labels.txt", labels)
    text(folder / "seqinfo.ini", INFO.format(folder=images))
    return text(folder / "gt/gt.txt", "".join(f"{row}\n" for row in rows))


def items(result: ReadResult) -> list[list[Instance]]:
    return [list(sample.instances) for sample in result.dataset.samples]


def test_a_sequence_of_the_benchmark(tmp_path: Path) -> None:
    sequence(tmp_path, "1,7,11,21,30.5,40,1,1,0.25", "2,7,12,21,30,40,1,1,1", "2,8,1,1,9,9,0,3,1")
    result = read(tmp_path)
    assert result.format == "mot"
    assert result.dataset.names == ["pedestrian", "car"]
    first = Instance(0, Box(10, 20, 40.5, 60), attributes={"track_id": 7, "visibility": 0.25})
    second = Instance(0, Box(11, 20, 41, 60), attributes={"track_id": 7})
    ignored = Instance(1, Box(0, 0, 9, 9), None, True, {"track_id": 8})
    assert items(result) == [[first], [second, ignored]]
    assert result.report.changed == {"boxes-moved-to-0-based": 3, "ignored-objects-to-crowds": 1}
    assert result.report.by_code() == {"mot.ignored": 1, "mot.one-based": 1}
    assert not result.report.lost


def test_a_sequence_that_cvat_wrote(tmp_path: Path) -> None:
    """Its labels are its own, and its pixels count from 0."""
    sequence(tmp_path, "1,-1,0,4,10,20,1,2,1.0", labels="cat\ndog\nbird\n")
    result = read(tmp_path)
    assert result.dataset.names == ["cat", "dog", "bird"]
    assert items(result) == [[Instance(1, Box(0, 4, 10, 24))], []]
    assert not result.report.changed
    assert not result.report.findings


def test_rows_of_mot15_end_in_a_place_and_not_in_a_class(tmp_path: Path) -> None:
    sequence(tmp_path, "1,3,11,21,30,40,1,2.5,-7.1,0", "1, 4, 1, 1, 9, 9, 1, -1, -1, -1")
    result = read(tmp_path)
    assert result.dataset.names == ["pedestrian"]
    assert [dict(item.attributes) for item in items(result)[0]] == [
        {"track_id": 3},
        {"track_id": 4},
    ]


def test_a_row_without_a_class_means_the_only_one(tmp_path: Path) -> None:
    sequence(tmp_path, "1,1,1,1,9,9", "2,1,1,1,9,9,1,-1,1", labels="cat")
    assert read(tmp_path).dataset.objects_per_class() == {"cat": 2}


def test_splits_and_sequences_without_truth(tmp_path: Path) -> None:
    for name in ("train/A", "train/B"):
        sequence(tmp_path / name, "1,1,1,1,9,9,1,1,1")
    for frame in ("000001.jpg", "000002.jpg"):
        image(tmp_path / "test/C/img1" / frame)
    text(tmp_path / "test/C/det/det.txt", "1,-1,1,1,9,9,0.9\n")
    result = read(tmp_path)
    assert [(s.image.parts[-3], s.split) for s in result.dataset.samples] == [
        *(("A", "train"), ("A", "train"), ("B", "train"), ("B", "train"))
    ]
    assert result.report.lost == {"images-not-listed": 2}


def test_detections_are_not_the_truth(tmp_path: Path) -> None:
    image(tmp_path / "img1/000001.jpg")
    text(tmp_path / "det/det.txt", "1,-1,1,1,9,9,0.9\n")
    with pytest.raises(DataError, match=r"only det\.txt, which is the output of a detector"):
        read(tmp_path, "mot")


def test_images_lie_where_seqinfo_says(tmp_path: Path) -> None:
    sequence(tmp_path, "1,1,1,1,9,9,1,1,1", images="frames")
    image(tmp_path / "img1/000001.jpg")
    assert {s.image.parent.name for s in read(tmp_path).dataset.samples} == {"frames"}


@pytest.mark.parametrize("info", ["no section\n", "[Sequence\n", "[Other]\nimDir=x\n", "\0"])
def test_a_damaged_seqinfo_does_without(tmp_path: Path, info: str) -> None:
    sequence(tmp_path, "1,1,1,1,9,9,1,1,1")
    text(tmp_path / "seqinfo.ini", info)
    result = read(tmp_path)
    assert [len(found) for found in items(result)] == [1, 0]
    assert result.report.count("mot.bad-seqinfo") == (info != "[Other]\nimDir=x\n")


def test_boxes_follow_the_size_in_seqinfo(tmp_path: Path) -> None:
    path = sequence(tmp_path, "1,1,21,41,20,20,1,1,1")
    info = path.parent.parent / "seqinfo.ini"
    text(info, info.read_text().replace("=100", "=200").replace("=80", "=160"))
    assert items(read(tmp_path))[0][0].box == Box(10, 20, 20, 30)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,1,1,1,9", "5 columns"),
        ("1,1,1,1,9,9,1,1,1,1,1", "11 columns"),
        ("0,1,1,1,9,9,1,1,1", "frames count from 1"),
        ("1.5,1,1,1,9,9,1,1,1", "frame is 1.5, not a whole number"),
        ("1,one,1,1,9,9,1,1,1", "'one' is not a finite number"),
        ("1,1,nan,1,9,9,1,1,1", "'nan' is not a finite number"),
        ("1,1,1,1,9,9,1,99,1", "class 99 is not one of 1 to 13"),
        ("1,1,1,1,9,9,1,0,1", "class 0 is not one of 1 to 13"),
        ("1,1,1,1,9,9,1,1,seen", "'seen' is not a finite number"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = sequence(tmp_path, "1,1,1,1,9,9,1,1,1", row)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (path, 2)
    assert finding.code == ("class.unknown" if "class" in words else "mot.bad-row")
    assert result.report.lost == {"objects-unreadable": 1}
    assert len(items(result)[0]) == 1


def test_frames_that_are_not_on_disk(tmp_path: Path) -> None:
    sequence(tmp_path, *(f"{frame},1,1,1,9,9,1,1,1" for frame in (1, 2, 3)), frames=1)
    result = read(tmp_path)
    assert len(result.dataset) == 1
    assert result.report.count("image.missing") == 2
    assert result.report.lost == {"images": 2, "objects-without-image": 2}


def test_a_frame_with_two_images(tmp_path: Path) -> None:
    sequence(tmp_path, "1,1,1,1,9,9,1,1,1")
    image(tmp_path / "img1/1.png")
    result = read(tmp_path)
    assert result.report.count("image.ambiguous") == 1
    assert [len(found) for found in items(result)] == [0]


def test_a_file_named_by_the_user(tmp_path: Path) -> None:
    assert len(read(sequence(tmp_path, "1,1,1,1,9,9,1,1,1")).dataset) == 2


def test_a_class_that_stands_twice_in_labels(tmp_path: Path) -> None:
    sequence(tmp_path, "1,1,1,1,9,9,1,1,1", labels="cat\ncat\n")
    with pytest.raises(DataError, match="a class stands there twice") as caught:
        read(tmp_path)
    assert caught.value.path == tmp_path / "gt/labels.txt"


def test_a_real_sequence(shared: Path) -> None:
    result = read(shared / "data/tiny_datumaro_assets/assets/mot_dataset/mot_seq")
    assert items(result) == [[Instance(2, Box(0, 4, 4, 12))]]
    assert result.dataset.names == [f"label_{k}" for k in range(10)]
    assert not result.report.findings


def test_a_real_sequence_without_its_images(shared: Path) -> None:
    folder = shared / "data/tiny_datumaro_assets/assets/mot_dataset/mot_seq_with_seqinfo"
    with pytest.raises(DataError, match="img1 has no image for any of the 1 frames"):
        read(folder)
