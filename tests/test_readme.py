"""Every command and every program of the README runs, in order, as it is printed there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.slow


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("console") for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: some pictures with annotations, a video, and weights."""
    folder = tmp_path_factory.mktemp("user")
    pictures = folder / "my-pictures"
    pictures.mkdir()
    source = ROOT / "datasets" / "sample"
    stems = sorted(path.stem for path in (source / "images").glob("*.json"))[:40]
    for path in (source / "images").iterdir():
        if path.stem in stems:
            shutil.copyfile(path, pictures / path.name)
    shutil.copyfile(source / "video.mp4", folder / "video.mp4")
    shutil.copyfile(ROOT / "weights" / "starter.pt", folder / "yolo11n.pt")
    return folder


def environment() -> dict[str, str]:
    """Small numbers, given as a user may give them, so that the commands stay as they are."""
    # Ultralytics writes elsewhere when it believes itself to be under test.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DETECT_TL_", "PYTEST_"))}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
        "DETECT_TL_OFFLINE": "1",
        "DETECT_TL_TRAIN_WEIGHTS": "yolo11n.pt",
        "DETECT_TL_TRAIN_EPOCHS": "1",
        "DETECT_TL_TRAIN_IMGSZ": "96",
        "DETECT_TL_TRAIN_DEVICE": "cpu",
        "DETECT_TL_BENEFIT_WEIGHTS": "yolo11n.pt",
        "DETECT_TL_BENEFIT_EPOCHS": "1",
        "DETECT_TL_BENEFIT_SEEDS": "2",
        "DETECT_TL_BENEFIT_IMGSZ": "96",
        "DETECT_TL_BENEFIT_DEVICE": "cpu",
        "DETECT_TL_ONESHOT_WEIGHTS": "yolo11n.pt",
        "DETECT_TL_ONESHOT_IMGSZ": "96",
        "DETECT_TL_ONESHOT_DEVICE": "cpu",
        "DETECT_TL_PREDICT_LIMIT": "10",
    }


def run(arguments: list[str] | str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=place,
        env=environment(),
        shell=isinstance(arguments, str),  # as typed
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_commands_run_in_order(place: Path) -> None:
    shown = commands()
    assert len(shown) >= 10
    for command in shown:
        done = run(command, place)
        allowed = {0, 1} if command.startswith("detect-tl check") else {0}
        assert done.returncode in allowed, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert (place / "runs" / "mine" / "best.onnx").is_file()
    assert (place / "runs" / "mine" / "report.html").is_file()
    assert list((place / "detections").glob("*.mp4"))


def test_programs_run(place: Path) -> None:
    shown = blocks("python")
    assert shown
    if not (place / "datasets" / "mine").exists():
        assert run("detect-tl convert my-pictures datasets/mine", place).returncode == 0
    for program in shown:
        done = run([sys.executable, "-c", program], place)
        assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"


def test_every_command_is_described() -> None:
    listing = run([sys.executable, "-m", "detect_tl", "--help"], ROOT).stdout
    names = re.findall(r"^  ([a-z]+)  ", listing, flags=re.MULTILINE)
    assert names
    missing = [name for name in names if f"`detect-tl {name}" not in README]
    assert missing == []


def test_linked_files_exist() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
