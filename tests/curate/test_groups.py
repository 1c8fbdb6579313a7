"""Images that belong together: by folder, video or pattern, and by looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.curate.groups import group_keys, joined, together

ROOT = Path("/data")


def keys(rule: str, *paths: str) -> list[str]:
    return group_keys(rule, [ROOT / path for path in paths], ROOT)


@pytest.mark.parametrize(
    ("rule", "paths", "expected"),
    [
        ("folder", ["a/1.jpg", "a/2.jpg", "b/1.jpg", "3.jpg"], ["a", "a", "b", ""]),
        # folders of the layout say nothing of what is in them
        ("folder", ["images/train/a/1.jpg", "images/val/a/2.jpg"], ["a", "a"]),
        ("video", ["run_0001.jpg", "run_0002.jpg", "walk_0001.jpg"], ["/run", "/run", "/walk"]),
        ("video", ["clip-frame12.png", "clip-frame13.png"], ["/clip", "/clip"]),
        ("video", ["v (1).jpg", "v (2).jpg"], ["/v", "/v"]),
        ("video", ["a/0001.jpg", "a/0002.jpg", "b/0001.jpg"], ["a/", "a/", "b/"]),
        (
            "video",
            ["cam_12_jpg.rf.0a1b2c3d.jpg", "cam_13_jpg.rf.ffee0011.jpg"],
            ["/cam", "/cam"],
        ),
        (r"p(\d+)_", ["p1_a.jpg", "p1_b.jpg", "p2_a.jpg"], ["1", "1", "2"]),
        ("day[0-9]", ["day1/a.jpg", "day2/a.jpg", "other/b.jpg"], ["day1", "day2", "other/b.jpg"]),
    ],
)
def test_rules(rule: str, paths: list[str], expected: list[str]) -> None:
    assert keys(rule, *paths) == expected


def test_rules_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        keys("p(", "a.jpg")
    with pytest.raises(UsageError, match=r"is found in no path, such as 'a\.jpg'"):
        keys("patient", "a.jpg")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20))
def test_joined_groups_are_the_connected_ones(pairs: list[tuple[int, int]]) -> None:
    one, two = zip(*pairs, strict=True)
    found = joined(one, two)
    n = len(pairs)
    linked = np.asarray(
        [[one[i] == one[j] or two[i] == two[j] for j in range(n)] for i in range(n)]
    )
    reach = np.linalg.matrix_power(linked.astype(float), n) > 0
    for i in range(n):
        for j in range(n):
            assert (found[i] == found[j]) == bool(reach[i, j])


def photo(path: Path, seed: int, quality: int = 90) -> Path:
    """A picture that looks like no other of another seed."""
    rough = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(rough).resize((160, 120), Image.Resampling.BICUBIC).save(path, quality=quality)
    return path


def samples(*images: Path) -> Dataset:
    return Dataset((), tuple(Sample(image, Size(160, 120)) for image in images))


def test_what_looks_alike_stays_together_and_so_does_a_group(tmp_path: Path) -> None:
    made = samples(
        photo(tmp_path / "a.jpg", 1),
        photo(tmp_path / "b.jpg", 2),
        photo(tmp_path / "c.jpg", 1, quality=40),
        photo(tmp_path / "x1.jpg", 3),
        photo(tmp_path / "x2.jpg", 4),
    )
    report = Report()
    a, b, c, x1, x2 = together(made, tmp_path, "video", most=0.8, report=report)
    assert a == c
    assert x1 == x2
    assert len({a, b, x1}) == 3
    assert not report.findings


def test_where_all_look_alike_only_the_same_stay_together(tmp_path: Path) -> None:
    made = samples(*(photo(tmp_path / f"{q}.jpg", 1, quality=q) for q in (50, 60, 70, 80)))
    report = Report()
    assert len(set(together(made, tmp_path, None, most=0.8, report=report))) == 4
    (finding,) = report.findings
    assert finding.code == "split.all-alike"
    assert "4 of 4 images look alike" in finding.message


def test_of_too_many_images_only_the_same_stay_together(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{q}.jpg", 1, quality=q) for q in (50, 70)]
    paths.append(tmp_path / "copy.jpg")
    paths[-1].write_bytes(paths[0].read_bytes())
    report = Report()
    first, other, copy = together(samples(*paths), tmp_path, None, most=1, report=report, at_most=2)
    assert first == copy != other
    assert report.count("split.not-compared") == 1
