from __future__ import annotations

from pathlib import Path

from detect_tl.core.findings import Finding, Report
from detect_tl.core.geometry import Box


def test_a_finding_reads_like_a_compiler_message() -> None:
    at = Finding("yolo.bad-row", "error", "the row is lost", Path("a/b.txt"), 7)
    assert str(at) == "a/b.txt:7: the row is lost [yolo.bad-row]"
    assert str(Finding("x.y", "info", "words", Path("a"))) == "a: words [x.y]"
    assert str(Finding("x.y", "info", "words")) == "words [x.y]"
    assert at.as_json()["path"] == "a/b.txt"
    assert at.as_json()["line"] == 7


def test_reports_count_by_code_and_severity() -> None:
    report = Report()
    for code in ("b", "a", "b"):
        report.add(code, "warning", "…")
    report.add("c", "error", "…")
    assert list(report.by_code().items()) == [("b", 2), ("a", 1), ("c", 1)]
    assert report.count("b") == 2
    assert [f.code for f in report.of("error")] == ["c"]


def test_reports_merge_their_counts_and_findings() -> None:
    first, second = Report(), Report()
    first.read["images"] = 2
    second.read["images"] = 3
    second.changed["boxes-clipped"] = 1
    second.lost["holes"] = 4
    second.add("a", "info", "…")
    first.merge(second)
    assert first.read == {"images": 5}
    assert first.changed == {"boxes-clipped": 1}
    assert first.lost == {"holes": 4}
    assert first.count("a") == 1


def test_paths_in_a_report_can_be_made_relative() -> None:
    report = Report()
    report.add("a", "info", "…", Path("/data/set/x.xml"), 3)
    report.add("b", "info", "…", Path("/elsewhere/y.xml"))
    report.add("c", "info", "…")
    short = report.relative_to(Path("/data/set"))
    assert [f.path for f in short.findings] == [Path("x.xml"), Path("/elsewhere/y.xml"), None]
    assert report.findings[0].path == Path("/data/set/x.xml")


def test_a_finding_can_name_the_picture_and_the_place_that_show_it() -> None:
    report = Report()
    box = Box(1, 2, float("inf"), 4)
    report.add("a", "info", "…", Path("/d/x.xml"), 3, image=Path("/d/x.jpg"), box=box)
    short = report.relative_to(Path("/d")).findings[0]
    assert short.image == Path("x.jpg")
    assert short.box == box
    assert short.as_json()["image"] == "x.jpg"
    assert short.as_json()["box"] == [1, 2, None, 4]  # JSON has no infinity
    assert Finding("x.y", "info", "words").as_json()["box"] is None
