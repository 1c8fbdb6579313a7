"""`adapt` on real files: what is kept, what stays to the bit, and what goes on.

The truth is made: of what a model answers. Then it is known which model is the best on it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from detect_tl import api
from detect_tl.api.adaptation import trying
from detect_tl.api.adaptation.answers import ask
from detect_tl.api.adapting import AdaptResult, work_folder
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.files import find_images, read_json, sha256_file, walk_files
from detect_tl.core.progress import Silent
from detect_tl.curate.pseudo import write_pseudo_labels
from detect_tl.models.checkpoint import load_checkpoint, same_tensors
from detect_tl.training.adaptation import steps
from tests.devices import DEVICE

SIDE = 160
NAMED: dict[str, Any] = {"imgsz": SIDE, "device": DEVICE, "epochs": 1, "batch": 4}


@pytest.fixture(scope="module")
def starter(repository: Path) -> Path:
    return repository / "weights" / "starter.pt"


@pytest.fixture(scope="module")
def pictures(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve of the sample, without their annotations."""
    folder = tmp_path_factory.mktemp("camera")
    for path in find_images(repository / "datasets" / "sample" / "images")[:12]:
        shutil.copy(path, folder)
    return folder


def truth_by(model: Path, pictures: Path, folder: Path) -> Path:
    """A dataset folder labelled with what a model answers."""
    files = find_images(pictures)
    settings = {"imgsz": SIDE, "device": DEVICE, "trust": False}
    answers = ask(model, files, progress=Silent(), text="", **settings)  # type: ignore[arg-type]
    labelled = [(a.image, a.size, a.instances(range(len(a.plain)))) for a in answers]
    names = load_checkpoint(model).names
    options: dict[str, Any] = {"root": pictures, "names": names, "task": "detect", "told": {}}
    write_pseudo_labels(labelled, folder, **options)
    return folder


@pytest.fixture(scope="module")
def statistics(
    starter: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> AdaptResult:
    """Kept for being the best: the truth is what the model with new statistics answers."""
    folder = tmp_path_factory.mktemp("kept")
    plan = api.adapt_plan(starter, pictures, rounds=0, **NAMED)
    steps.adapt_statistics(starter, folder / "new.pt", plan.measured, SIDE)
    data = truth_by(folder / "new.pt", pictures, folder / "data")
    out = folder / "run"
    return api.adapt(starter, pictures, data=data, split="all", rounds=0, out=out, **NAMED)


def test_the_best_on_the_labels_is_kept(statistics: AdaptResult) -> None:
    first, second = statistics.tried
    assert statistics.adapted
    assert statistics.chosen is second
    assert second.score is not None
    assert first.score is not None
    assert second.score > first.score
    assert second.difference is not None
    assert second.difference.verdict == "better"
    assert "as it was" in statistics.why


def test_nothing_but_statistics_differs(statistics: AdaptResult, starter: Path) -> None:
    before, after = (
        load_checkpoint(path).model.state_dict()
        for path in (starter, statistics.run / "weights" / "best.pt")
    )
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.endswith(("running_mean", "running_var")) for name in changed)


@pytest.mark.slow
def test_every_command_takes_the_run(statistics: AdaptResult, tmp_path: Path) -> None:
    run = statistics.run
    evaluation = api.evaluate(run, split="all", device=DEVICE, resamples=10)
    assert evaluation.metrics.main.map50_95 == statistics.chosen.score
    assert read_json(run / "metrics.json")["box"]["mAP50-95"] == statistics.chosen.score
    found = api.predict(run, find_images(statistics.plan.images)[0], out=tmp_path, conf="auto")
    assert found.frames == 1
    compared = api.compare([run, statistics.plan.source.path], split="all", resamples=10)
    assert compared.models[0].score.value > compared.models[1].score.value
    told = read_json(run / "adaptation.json")
    assert [each["name"] for each in told["tried"]] == ["as it was", "statistics"]
    assert told["chosen"] == "statistics"
    assert not work_folder(run).exists()
    with pytest.raises(UsageError, match="adapted, not trained"):
        api.rerun(run)
    with pytest.raises(UsageError, match="nothing to resume"):
        api.resume(run)


@pytest.mark.slow
def test_never_worse_than_it_was(starter: Path, pictures: Path, tmp_path: Path) -> None:
    """The truth is what the model says by itself: everything else is worse on it."""
    data = truth_by(starter, pictures, tmp_path / "data")
    digest = sha256_file(starter)
    settings = {**NAMED, "data": data, "split": "all", "rounds": 0}
    result = api.adapt(starter, pictures, out=tmp_path / "run", **settings)
    assert not result.adapted
    scores = [each.score or 0.0 for each in result.tried]
    assert scores[0] == max(scores) > 0.7
    assert sha256_file(result.run / "weights" / "best.pt") == digest == sha256_file(starter)
    with pytest.raises(UsageError, match="already exists"):
        api.adapt(starter, pictures, out=tmp_path / "run", **settings)


@pytest.mark.slow
def test_a_round_freezes_repeats_and_goes_on(
    starter: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**NAMED, "rounds": 1, "out": tmp_path / "run"}
    ends: list[Path] = []

    def kept(work: Path) -> None:
        """Keep what is computed on the way, to look at it."""
        ends.append(work.rename(tmp_path / f"work-{len(ends)}"))

    monkeypatch.setattr("shutil.rmtree", lambda path, **_: kept(path) if _is_work(path) else None)
    real, calls = trying.Trial.measure, []

    def interrupted(self: trying.Trial, name: str, checkpoint: Path, told: Any) -> Any:
        calls.append(name)
        if calls == ["as it was", "statistics", "round 1"]:
            raise KeyboardInterrupt
        return real(self, name, checkpoint, told)

    monkeypatch.setattr(trying.Trial, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.adapt(starter, pictures, **settings)
    assert not (tmp_path / "run").exists()
    made = {path: path.stat().st_mtime_ns for path in work_folder(tmp_path / "run").glob("*.pt")}
    assert {path.name for path in made} == {"statistics.pt", "round-1.pt"}
    with pytest.raises(UsageError, match="unfinished adaptation of other"):
        api.adapt(starter, pictures, **{**settings, "seed": 5})
    first = api.adapt(starter, pictures, **settings)
    assert {path.stat().st_mtime_ns for path in ends[0].glob("*.pt")} == set(made.values())

    again = api.adapt(starter, pictures, **{**settings, "out": tmp_path / "again"})
    assert [t.as_json() for t in again.tried] == [t.as_json() for t in first.tried]
    assert same_tensors(ends[0] / "round-1.pt", ends[1] / "round-1.pt")

    files = starter, ends[0] / "round-1.pt"
    before, after = (load_checkpoint(path).model.state_dict() for path in files)
    changed = {int(n.split(".")[1]) for n in after if not torch.equal(after[n], before[n])}
    assert changed
    assert min(changed) > 10  # the last layer of the backbone of YOLO11


@pytest.mark.slow
def test_a_segmenter_teaches_its_student_outlines(
    repository: Path, starter: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tmp_path / "sample"
    for path in find_images(pictures):
        (sample / "images").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, sample / "images")
        labels = repository / "datasets" / "sample" / "images" / f"{path.stem}.json"
        shutil.copy(labels, sample / "images")
    own = {"weights": str(starter), "strategy": "head", "batch": 4, "split": (0.5, 0.5, 0.0)}
    own |= {"epochs": 4, "imgsz": SIDE, "device": DEVICE}
    model = api.train(sample, out=tmp_path / "model", **own)
    data = model.run / "dataset"
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # to look at what was learned from
    named = {**NAMED, "data": data, "split": "val", "rounds": 1}
    result = api.adapt(model.run, pictures, out=tmp_path / "run", **named)
    assert [tried.name for tried in result.tried] == ["as it was", "statistics", "round 1"]
    judged = api.evaluate(model.run, data, split="val", imgsz=SIDE, device=DEVICE, resamples=10)
    assert judged.metrics.mask is not None
    assert result.tried[0].score == pytest.approx(judged.metrics.mask.map50_95)
    (labels,) = work_folder(tmp_path / "run").glob("*/labels/annotations/train.json")
    learned = read_json(labels)["annotations"]
    assert learned
    assert all(item["segmentation"] for item in learned)
    assert load_checkpoint(work_folder(tmp_path / "run") / "round-1.pt").task == "segment"


def _is_work(path: Any) -> bool:
    return str(path).endswith(".unfinished")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"images": "missing"}, UsageError, "no folder"),
        ({"images": "few"}, DataError, "12 are needed"),
        ({"model": "model.onnx"}, UsageError, "exported file"),
    ],
)
def test_what_cannot_be_used(
    change: dict[str, str], kind: type[Exception], words: str, starter: Path, tmp_path: Path
) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "a.png").touch()
    (tmp_path / "model.onnx").touch()
    given = {"model": str(starter), "images": str(tmp_path / "few")}
    given |= {name: str(tmp_path / value) for name, value in change.items()}
    with pytest.raises(kind, match=words):
        api.adapt(given["model"], given["images"], out=tmp_path / "run")
    assert {path.name for path in walk_files(tmp_path)} == {"a.png", "model.onnx"}
