from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, RleMask
from detect_tl.formats.detect import ReadResult
from tests.formats.makers import image, read, text
from tests.formats.test_fuzz import check_damaged

LABELS = "<labels><label><name>cat</name></label><label><name>dog</name></label></labels>"
SIZE = "<original_size><width>100</width><height>80</height></original_size>"


def at(frame: int, x: float = 0, *, tag: str = "box", key: int = 1, outside: int = 0) -> str:
    """A shape in a frame, x pixels to the right."""
    places = {
        "box": f'xtl="{x}" ytl="10" xbr="{x + 20}" ybr="30"',
        "polygon": f'points="{x},10;{x + 20},10;{x},30"',
        "ellipse": f'cx="{x + 10}" cy="20" rx="10" ry="10"',
        "mask": f'rle="0,4" left="{x}" top="10" width="2" height="2"',
        "points": f'points="{x},10"',
    }
    return (
        f'<{tag} frame="{frame}" keyframe="{key}" outside="{outside}" occluded="0"'
        f' {places[tag]} z_order="0"></{tag}>\n'
    )


def track(*shapes: str, number: int = 0, label: str = "cat", more: str = "") -> str:
    return f'<track id="{number}" label="{label}" {more}>\n{"".join(shapes)}</track>\n'


def video(path: Path, *tracks: str, stop: int | None = 9, meta: str = "") -> Path:
    end = "" if stop is None else f"<stop_frame>{stop}</stop_frame>"
    task = f"<task><mode>interpolation</mode>{end}{meta}{SIZE}{LABELS}</task>"
    return text(path, f"<annotations><meta>{task}</meta>\n{''.join(tracks)}</annotations>")


def clip(
    tmp_path: Path, *tracks: str, frames: range = range(10), meta: str = "", stop: int | None = 9
) -> ReadResult:
    for frame in frames:
        image(tmp_path / f"images/frame_{frame:06d}.png")
    video(tmp_path / "annotations.xml", *tracks, stop=stop, meta=meta)
    return read(tmp_path, "cvat")


def lefts(result: ReadResult) -> list[list[float]]:
    """The left edges of the objects in every frame."""
    return [[item.box.x1 for item in sample.instances] for sample in result.dataset.samples]


def test_every_frame_is_listed(tmp_path: Path) -> None:
    """As CVAT exports it; a track that is not taken outside ends where its list does."""
    shapes = [at(0, 0), at(1, 2, key=0), at(2, 4), at(3, 4, outside=1)]
    result = clip(tmp_path, track(*shapes), track(at(1, 50, key=0), number=7, label="dog"))
    assert lefts(result)[:5] == [[0], [2, 50], [4], [], []]
    assert len(result.dataset) == 10
    items = list(result.dataset.instances())
    assert [item.attributes["track_id"] for item in items] == [0, 0, 7, 0]
    assert [item.category for item in items] == [0, 0, 1, 0]
    assert not result.report.findings
    assert not result.report.changed


@pytest.mark.parametrize("tag", ["box", "ellipse"])
def test_between_key_frames_shapes_move_in_a_straight_line(tmp_path: Path, tag: str) -> None:
    shapes = [at(1, 10, tag=tag), at(5, 30, tag=tag), at(7, 30, tag=tag, outside=1)]
    result = clip(tmp_path, track(*shapes))
    assert [x for found in lefts(result) for x in found] == pytest.approx([10, 15, 20, 25, 30, 30])
    assert [len(found) for found in lefts(result)] == [0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert result.report.changed == {"objects-between-key-frames": 4}


def test_a_box_turns_the_shorter_way(tmp_path: Path) -> None:
    turns = [at(f).replace('z_order="0"', f'rotation="{d}"') for f, d in ((0, 350), (2, 10))]
    result = clip(tmp_path, track(*turns, at(3, outside=1)), frames=range(4), stop=3)
    middle = result.dataset.samples[1].instances[0]
    assert tuple(middle.box) == pytest.approx((0, 10, 20, 30))


def test_what_is_never_taken_outside_stays(tmp_path: Path) -> None:
    result = clip(tmp_path, track(at(0, 5), at(2, 5)), track(at(8, 50)), frames=range(12))
    assert lefts(result) == [[5]] * 8 + [[5, 50]] + [[5]]  # the second as CVAT writes a lone shape
    assert result.report.lost == {"images-not-listed": 2}  # beyond the last frame of the task


def test_without_a_last_frame_nothing_is_made_up(tmp_path: Path) -> None:
    result = clip(tmp_path, track(at(0, 5), at(2, 5)), stop=None)
    assert lefts(result) == [[5]] * 3 + [[]] * 7


def test_an_outline_that_changes_between_key_frames_is_counted(tmp_path: Path) -> None:
    still = track(at(0, 5, tag="polygon"), at(3, 5, tag="polygon", outside=1))
    moving = track(at(4, 5, tag="polygon"), at(8, 9, tag="polygon"), at(9, outside=1))
    result = clip(tmp_path, still, moving)
    assert lefts(result) == [[5], [5], [5], [], [5], [], [], [], [9], []]
    assert result.report.lost == {"objects-between-key-frames": 3}
    assert result.report.changed == {"objects-between-key-frames": 2}
    (finding,) = result.report.findings
    assert (finding.code, finding.severity) == ("cvat.between-key-frames", "warning")
    assert finding.line == 7


def test_masks_are_only_where_they_are_drawn(tmp_path: Path) -> None:
    result = clip(tmp_path, track(at(2, 5, tag="mask"), at(6, 9, tag="mask")))
    assert [len(found) for found in lefts(result)] == [0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    (first, _) = result.dataset.instances()
    assert isinstance(first.mask, RleMask)
    assert first.box == Box(5, 10, 7, 12)
    assert not result.report.findings


def test_frames_of_a_filtered_task(tmp_path: Path) -> None:
    """Frames carry the numbers of the video; those that the task passes over were not annotated."""
    meta = "<start_frame>2</start_frame><frame_filter>step=3</frame_filter>"
    result = clip(tmp_path, track(at(2, 0), at(8, 6), at(9, outside=1)), meta=meta)
    assert [s.image.stem[-1] for s in result.dataset.samples] == ["2", "5", "8"]
    assert lefts(result) == [[0], [3], [6]]
    assert result.report.lost == {"images-not-listed": 7}


def test_shapes_without_area_are_counted_where_they_are_seen(tmp_path: Path) -> None:
    result = clip(
        tmp_path, track(at(0, tag="points"), at(1, tag="points", outside=1)), track(at(2))
    )
    assert result.report.lost == {"shapes-points": 1}
    assert lefts(result) == [[], [], *[[0]] * 8]


@pytest.mark.parametrize("frame", ["two", "", "-1", "9" * 50, "1"])
def test_a_shape_with_a_bad_frame_is_named(tmp_path: Path, frame: str) -> None:
    bad = at(5).replace('frame="5"', f'frame="{frame}"', 1)
    result = clip(tmp_path, track(at(1, key=0), bad))
    (finding,) = result.report.of("error")
    assert finding.code == "cvat.bad-shape"
    assert finding.line == 4
    assert result.report.lost == {"objects-unreadable": 1}
    assert len(list(result.dataset.instances())) == 1


def test_frames_that_are_not_on_disk_are_named(tmp_path: Path) -> None:
    result = clip(tmp_path, track(*(at(k, key=0) for k in range(4))), frames=range(2))
    assert len(result.dataset) == 2
    assert result.report.count("image.missing") == 2
    assert result.report.lost == {"images": 2, "objects-without-image": 2}


@pytest.mark.parametrize(
    ("there", "advice"),
    [
        ("my clip.mp4", r"ffmpeg -i 'my clip\.mp4' .* images/frame_%06d\.png"),
        ("images/img_001.png", r"called frame_000000\.PNG and so on, not images/img_001\.png"),
        (None, "Export them from CVAT with its images"),
    ],
)
def test_how_to_come_by_frames_is_said(tmp_path: Path, there: str | None, advice: str) -> None:
    if there:
        image(tmp_path / there) if there.endswith("png") else text(tmp_path / there, "")
    with pytest.raises(DataError, match="no image could be read") as caught:
        clip(tmp_path, track(at(0, key=0), at(1, key=0)), frames=range(0))
    assert re.search(advice, str(caught.value))


def test_videos_in_folders_of_their_own(tmp_path: Path) -> None:
    for name, x in (("one", 1), ("two", 2)):
        clip(tmp_path / name, track(at(0, x, key=0)), frames=range(2))
    result = read(tmp_path, "cvat")
    assert [s.image.parent.parent.name for s in result.dataset.samples] == [
        *("one", "one", "two", "two")
    ]
    assert lefts(result) == [[1], [], [2], []]


def test_tasks_whose_frames_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    tracks = [track(at(0, key=0), more=f'task_id="{k}" subset="Train"') for k in (4, 5)]
    with pytest.raises(DataError, match="tasks 4 and 5 have the same names"):
        clip(tmp_path, *tracks)


def test_a_real_track(shared: Path) -> None:
    result = read(shared / "data/tiny_datumaro_assets/assets/cvat_dataset/for_video")
    assert [s.image.stem for s in result.dataset.samples] == [
        *("frame_000010", "frame_000013", "frame_000016")
    ]
    (item,) = result.dataset.instances()
    assert item in result.dataset.samples[0].instances
    assert item.box == Box(3, 4, 10, 5)
    assert dict(item.attributes) == {"occluded": True, "track_id": 0}
    assert result.dataset.objects_per_class() == {"klhg": 0, "z U k": 0, "II": 1}
    assert result.report.lost == {"shapes-points": 1, "shapes-polyline": 1}


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracks")
    boxes = track(at(0, 10), at(2, 30), at(4, outside=1))
    outlines = track(at(0, 10, tag="polygon"), at(3, 30, tag="polygon"), number=2)
    clip(folder, boxes, track(at(2, 5, tag="mask"), number=1), outlines, frames=range(5), stop=4)
    return folder


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_tracks(tracks: Path, data: st.DataObject) -> None:
    check_damaged(tracks, "cvat", data)
