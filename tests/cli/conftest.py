"""The command line as a user calls it: in this process where that is enough, in another if not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from detect_tl.cli.app import app
from tests.training.conftest import shapes, small_checkpoint  # noqa: F401  # fixtures

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the person who runs the tests, and no network."""
    for name in os.environ:
        if name.startswith("DETECT_TL_") and name != "DETECT_TL_SHARED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("DETECT_TL_OFFLINE", "1")


@pytest.fixture
def run() -> Run:
    """Call the command line in this process."""

    def call(*arguments: object, **extra: Any) -> Result:
        return CliRunner().invoke(app, [str(item) for item in arguments], **extra)

    return call


def process(
    arguments: Sequence[object], *, code: str | None = None, **extra: Any
) -> subprocess.CompletedProcess[str]:
    """Call the command line in a process of its own; `code` instead of `-m detect_tl`."""
    start = ["-c", code] if code else ["-m", "detect_tl"]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **extra,
    )


def refused(result: Result, exit_code: int, *words: str) -> list[str]:
    """Assert that a command ended in one sentence, with a hint, and no traceback; return both."""
    assert result.exit_code == exit_code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    start = next(k for k, line in enumerate(lines) if line.startswith("Error: "))
    told = lines[start:]
    assert len(told) == 2, told  # the sentence and the hint
    assert "Traceback" not in result.output
    assert "mistake in detect-tl" not in told[1]
    for word in words:
        assert word in "\n".join(told), (word, told)
    return told


def picture(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    """An image whose colour depends on its name, so that no two are the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(path.name.encode()) * 37 % 16_000_000
    Image.new("RGB", size, (shade % 256, shade // 256 % 256, shade // 65_536)).save(path)
    return path


def voc(folder: Path, stem: str, label: str = "cat") -> Path:
    """A picture with one Pascal VOC object; return the XML file."""
    picture(folder / f"{stem}.jpg")
    path = folder / f"{stem}.xml"
    path.write_text(
        f"<annotation>\n<filename>{stem}.jpg</filename>\n"
        "<size><width>64</width><height>48</height><depth>3</depth></size>\n"
        f"<object><name>{label}</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>40</xmax>"
        "<ymax>30</ymax></bndbox></object>\n</annotation>\n"
    )
    return path


def voc_folder(folder: Path, count: int = 10) -> Path:
    for index in range(count):
        voc(folder, f"v{index}")
    return folder


def coco_file(folder: Path, count: int = 10) -> Path:
    """Pictures with one COCO object each; return the JSON file."""
    names = [picture(folder / f"c{index}.jpg").name for index in range(count)]
    images = [
        {"id": k, "file_name": name, "width": 64, "height": 48} for k, name in enumerate(names)
    ]
    objects = [
        {"id": k + 1, "image_id": k, "category_id": 3, "bbox": [5, 6, 20, 20], "area": 400}
        for k in range(count)
    ]
    document = {
        "images": images,
        "annotations": objects,
        "categories": [{"id": 3, "name": "cat"}],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(document, indent=1))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten annotated pictures in Pascal VOC."""
    return voc_folder(tmp_path / "pictures")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of 32 KiB, where this user may mount one; else None."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    yield folder if done else None
    if done:
        subprocess.run(["umount", str(folder)], check=True)
