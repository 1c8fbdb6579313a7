"""A format that somebody else wrote: the example of the README, as a package of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from detect_tl import plugins
from detect_tl.core.errors import MachineError
from detect_tl.formats import base
from tests.conftest import ROOT
from tests.formats.makers import image, read, text, voc, voc_object


def example(language: str) -> str:
    section = (ROOT / "README.md").read_text().partition("\n## Adding a format\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example and install it, without network, where only these tests see it."""
    package, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("installed")
    text(package / "detect_tl_boxes.py", example("python"))
    text(package / "pyproject.toml", example("toml"))
    options = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
    command = [sys.executable, "-m", "pip", "install", *options.split(), "--target"]
    done = subprocess.run(
        [*command, str(target), str(package)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def detect_tl(installed: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "detect_tl", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_listed(installed: Path) -> None:
    listed = json.loads(detect_tl(installed, "formats", "--json").stdout)["formats"]
    (mine,) = (item for item in listed if item["name"] == "boxes")
    assert mine["title"] == "Boxes"
    assert not mine["writes"]


def test_it_is_recognised_and_read(installed: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        image(tmp_path / f"train/{name}.jpg")
    rows = [
        "a.jpg cat 10 20 30 40",
        "a.jpg dog 1 2 3",
        "b.jpg cat 0 0 9 nan",
        "gone.jpg cat 1 2 3 4",
    ]
    text(tmp_path / "all.boxes", "\n".join([*rows, "B.JPG dog 5 6 70 60"]))
    done = detect_tl(installed, "check", tmp_path, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["format"] == "boxes"
    assert found["explanation"].startswith("Boxes: 1 .boxes files;\nnot ")
    assert found["images"] == 3
    assert found["objects_per_class"] == {"cat": 1, "dog": 1}
    report = found["report"]
    assert report["lost"] == {"images": 1, "objects-unreadable": 2, "objects-without-image": 1}
    assert report["changed"] == {"images-matched-by-case": 1}
    bad = [f["line"] for f in report["findings"] if f["code"] == "boxes.bad-line"]
    assert bad == [2, 3]


def test_one_that_cannot_be_loaded_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", voc_object("cat", 1, 2, 30, 40))
    broken = EntryPoint("broken", "no_such_module:FORMAT", "detect_tl.formats")
    points = {**plugins._points("detect_tl.formats"), "broken": broken}
    monkeypatch.setattr(plugins, "_points", lambda _: points)
    result = read(tmp_path)
    assert result.format == "voc"
    assert "not broken: the plugin 'broken' (no_such_module:FORMAT) cannot be" in result.explanation
    with pytest.raises(MachineError, match="cannot be loaded"):
        read(tmp_path, "broken")
    with pytest.raises(MachineError, match="cannot be loaded"):
        base.load_formats()
