"""The commands on a real (tiny) model: annotations in, a detector out."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, coco_file, process, refused
from tests.devices import DEVICE

pytestmark = pytest.mark.slow

Trained = tuple[Path, dict[str, Any]]

SMALL = ("--imgsz", "64", "--batch", "4", "--device", DEVICE)


@pytest.fixture(scope="module")
def trained(
    shapes: Path, small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """A run of one epoch, and the JSON that `train` printed."""
    out = tmp_path_factory.mktemp("line") / "run"
    arguments = ["train", shapes, "--weights", small_checkpoint, "--out", out, "--epochs", "1"]
    done = process([*arguments, *SMALL, "--json"], env=quiet_environment())
    assert done.returncode == 0, done.stderr
    assert "train" in done.stderr  # progress for people
    return out, json.loads(done.stdout)


def quiet_environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DETECT_TL_")}
    return {**kept, "DETECT_TL_OFFLINE": "1"}


def test_train_goes_from_annotations_to_a_run_folder(
    trained: Trained,
) -> None:
    run, said = trained
    assert said["names"] == ["disc", "square"]
    for part in (
        "weights/best.pt", "weights/last.pt", "config.json", "environment.json", "dataset.json",
        "transfer.json", "metrics.csv", "metrics.json", "report.html", "results.png",
        "dataset/data.yaml", "dataset/annotations/val.json",
    ):  # fmt: skip
        assert (run / part).is_file(), part
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics == said["evaluation"]
    assert metrics["images"] == 6


def test_train_refuses_what_convert_refuses(
    run: Run, small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "one"
    settings = ("--weights", small_checkpoint, "--out", out, "--device", DEVICE)
    refused(run("train", tmp_path / "none", *settings), 3, "no such file or folder")
    refused(run("train", pictures, "--split", "1,0", *settings), 2, "split")
    refused(run("train", pictures, "--device", "97", *settings[:4]), 5, "97", "--device cpu")
    refused(run("train", pictures, "--freeze", "99", *settings), 2, "99")
    coco_file(pictures)
    refused(run("train", pictures, *settings), 3, "formats are mixed")
    (pictures / "v3.xml").write_text("<annotation>")
    refused(run("train", pictures, "--from", "voc", *settings), 3, "v3.xml", "broken XML")
    assert not out.exists()
    assert not list(tmp_path.glob("runs/.*"))


def test_eval_answers_alike_for_checkpoint_and_export(
    run: Run, trained: Trained, shapes: Path, tmp_path: Path
) -> None:
    folder, _ = trained
    exported = run("export", folder, "--out", tmp_path / "own.onnx", "--json")
    assert exported.exit_code == 0, exported.output
    document = json.loads(exported.stdout)
    assert document["parity"]["holds"]
    assert document["imgsz"] == [64, 64]
    scores = []
    for model in (folder, folder / "weights" / "best.pt", tmp_path / "own.onnx"):
        result = run("eval", model, shapes, "--json", "-q")
        assert result.exit_code == 0, result.output
        scores.append(json.loads(result.stdout))
    assert [score["backend"] for score in scores] == ["torch", "torch", "onnxruntime"]
    assert all(score["images"] == 6 for score in scores)  # the val split of the raw annotations
    values = [score["box"]["mAP50-95"] for score in scores]
    assert values == pytest.approx([values[0]] * 3, abs=0.002)
    fixed = tmp_path / "fixed.onnx"
    assert run("export", folder, "--out", fixed, "--static").exit_code == 0
    refused(run("eval", fixed, shapes, "--imgsz", "96"), 2, "64x64")


def test_predict_exports_once_and_then_runs_without_torch(
    trained: Trained, shapes: Path, tmp_path: Path
) -> None:
    folder, _ = trained
    images = shapes / "images" / "val"
    first = process(["predict", folder, images, "--out", tmp_path / "a", "--json"])
    assert first.returncode == 0, first.stderr
    assert (folder / "best.onnx").is_file()
    code = (
        "import sys\nfrom detect_tl.cli.app import app\n"
        "try:\n    app.main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'ultralytics'} & set(sys.modules)\n"
    )
    again = process(["predict", folder, images, "--out", tmp_path / "b", "--json"], code=code)
    assert again.returncode == 0, again.stderr
    counts = [json.loads(done.stdout) for done in (first, again)]
    assert counts[0]["frames"] == counts[1]["frames"] == 6
    assert counts[0]["objects"] == counts[1]["objects"]
    pictures = {path.name for path in (tmp_path / "b").rglob("*.png")}
    assert pictures == {path.name for path in images.iterdir()}


def test_predict_keeps_what_it_exported_of_a_plain_checkpoint(
    run: Run, small_checkpoint: Path, shapes: Path, tmp_path: Path
) -> None:
    arguments = (small_checkpoint, shapes / "images" / "val", "--imgsz", "64", "--limit", "1")
    result = run("predict", *arguments, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    (kept,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("*.onnx")
    before = kept.stat().st_mtime_ns
    assert run("predict", *arguments, "--out", tmp_path / "b").exit_code == 0
    assert kept.stat().st_mtime_ns == before


def test_a_failed_gate_leaves_nothing(
    run: Run,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from detect_tl.export import parity

    strict = parity.Tolerance(score=-1.0, box=0.0, mask=0.0, iou=1.0)
    monkeypatch.setattr(parity, "TOLERANCES", dict.fromkeys(parity.TOLERANCES, strict))
    result = run("export", trained[0], "--out", tmp_path / "a" / "m.onnx")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert not (tmp_path / "a").exists()


def test_quickstart_walks_the_whole_line(
    run: Run, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "mine.txt").write_text("mine")
    result = run(
        "quickstart", "--weights", small_checkpoint, "--epochs", "1", "--imgsz", "64",
        "--device", DEVICE, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["folder"] == "quickstart-2"  # the first one was taken
    assert [path.name for path in (tmp_path / "quickstart").iterdir()] == ["mine.txt"]
    assert all(Path(path).exists() for path in said["files"].values())
    assert said["files"]["video"].endswith(".mp4")
    page = Path(said["files"]["report"])
    before = page.read_text()
    assert run("export", page.parent).exit_code == 0  # draws the page anew
    for words in ("<video controls", "source src", "parity gate held"):
        assert words in before
        assert words in page.read_text()
    assert page.read_text().count('class="card note"') == before.count('class="card note"')
    assert len(said["classes"]) >= 3
    assert said["fps"] > 0


def test_a_run_interrupted_after_its_last_epoch_is_measured(
    run: Run, trained: Trained, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    (folder / "report.html").unlink()
    (folder / "metrics.json").unlink()
    result = run("resume", folder, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["epochs"] == 1
    assert said["evaluation"]["box"] == trained[1]["evaluation"]["box"]
    assert (folder / "report.html").is_file()
    refused(run("resume", folder), 2, "has finished")


def start_training(shapes: Path, checkpoint: Path, out: Path) -> subprocess.Popen[str]:
    arguments = [
        sys.executable, "-m", "detect_tl", "train", shapes, "--weights", checkpoint,
        "--out", out, "--epochs", "4", *SMALL,
    ]  # fmt: skip
    return subprocess.Popen(
        list(map(str, arguments)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def epochs(run: Path) -> list[int]:
    path = run / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


def test_ctrl_c_leaves_a_run_that_can_be_resumed(
    run: Run, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    child = start_training(shapes, small_checkpoint, out)
    deadline = time.monotonic() + 240
    while not epochs(out) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 130, said
    last = said.strip().splitlines()[-2:]
    assert last == ["Error: interrupted", f"Go on with `detect-tl resume {out}`."]
    assert "Traceback" not in said
    assert epochs(out)[-1] < 4
    result = run("resume", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["epochs"] == 4
    assert epochs(out) == [1, 2, 3, 4]
    refused(run("resume", out), 2, "has finished")


def test_ctrl_c_before_the_training_leaves_nothing(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    child = start_training(shapes, small_checkpoint, out)
    assert child.stderr is not None
    child.stderr.readline()  # its first words: the libraries are loaded
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 130, said
    assert "Traceback" not in said
    assert not out.exists() or "detect-tl resume" in said


SHORT_OF_MEMORY = """
import resource, sys
import detect_tl.training.run, detect_tl.models.torch_backend
from detect_tl.cli.app import app
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
app.main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory can only be limited under Linux")
def test_out_of_memory_suggests_a_smaller_batch(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    arguments = ["train", shapes, "--weights", small_checkpoint, "--out", tmp_path / "run"]
    sizes = ["--imgsz", "2048", "--batch", "12", "--epochs", "1", "--device", "cpu", "-q"]
    done = process([*arguments, *sizes], code=SHORT_OF_MEMORY)
    assert done.returncode == 5, done.stderr[-2000:]
    assert "out of memory" in done.stderr
    assert "--batch 6" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_looks_at_this_machine() -> None:
    done = process(["doctor", "--json", "-q"], env=quiet_environment())
    said = json.loads(done.stdout)
    assert done.returncode == (1 if said["errors"] else 0)
    assert said["machine"]["probes"]["torch"]["version"]
    assert {finding["severity"] for finding in said["findings"]} <= {"error", "warning", "info"}
