"""`detect-tl formats`: what can be read and written, and at what price."""

from __future__ import annotations

import json

from detect_tl.formats.base import load_formats
from tests.cli.conftest import Run
from tests.conftest import ROOT


def test_every_format_is_listed_with_what_writing_it_loses(run: Run) -> None:
    result = run("formats")
    assert result.exit_code == 0
    for item in load_formats():
        assert item.title in result.stdout
        assert item.description in result.stdout
        for loss in item.losses.values():
            assert f"  - {loss}" in result.stdout


def test_the_same_as_json(run: Run) -> None:
    listed = {item["name"]: item for item in json.loads(run("formats", "--json").stdout)["formats"]}
    assert set(listed) == {item.name for item in load_formats()}
    assert listed["csv"]["options"] == ["columns"]
    assert listed["yolo"]["writes"]
    assert listed["yolo"]["losses"]
    assert not listed["kitti"]["writes"]


def test_one_by_name(run: Run) -> None:
    shown = run("formats", "voc").stdout
    assert "Pascal VOC" in shown
    assert "YOLO" not in shown
    wrong = run("formats", "vocc")
    assert wrong.exit_code == 2
    assert "'voc'" in wrong.stderr


def test_the_readme_names_every_format() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [item.title for item in load_formats() if item.title not in readme] == []
