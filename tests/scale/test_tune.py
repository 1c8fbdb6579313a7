"""A search on Ray: the same trials as in one process, stopped, refused, interrupted, gone on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detect_tl import api
from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.files import write_json
from detect_tl.core.progress import Silent
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.scale.cluster import Cluster, connected
from detect_tl.scale.tune import _search, shares, tune
from detect_tl.training.config import TrainConfig
from detect_tl.training.trials import Rungs, Search, TrialRecord, carry_out
from detect_tl.transfer.space import Choice, Space
from tests.cli.conftest import Run, run  # noqa: F401  # a fixture
from tests.training.conftest import shapes  # noqa: F401  # a fixture


@pytest.fixture(scope="module")
def two_cores() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detect_tl.scale.cluster.cores", lambda: 2)
        with connected() as cluster:
            yield cluster


@pytest.fixture
def settings(shapes: Path, repository: Path, tmp_path: Path) -> dict[str, Any]:  # noqa: F811
    (tmp_path / "space.yaml").write_text("strategy: [full, head, freeze]\n")
    return {
        "data": shapes,
        "weights": str(repository / "weights" / "starter.pt"),
        "space": tmp_path / "space.yaml",
        "out": tmp_path / "tuned",
        "trials": 3,
        "epochs": 2,
        "imgsz": 64,
        "batch": 4,
        "device": "cpu",
        "workers": 0,
    }


def alone(search: Search, record: TrialRecord) -> TrialRecord:
    """The same trial in this process, on one core."""
    return carry_out(
        search, record.number, record.settings, lambda *_: True, progress=Silent(), threads=1,
        began=0.0,
    )  # fmt: skip


def cluster_of(cpus: int, gpus: int = 0, nodes: int = 1) -> Cluster:
    return Cluster(None, nodes, cpus, gpus, ours=True)


@pytest.mark.parametrize(
    ("cluster", "parallel", "expected"),
    [
        (cluster_of(1), None, (1, {"cpu": 1})),
        (cluster_of(2), None, (2, {"cpu": 1})),
        (cluster_of(8), None, (2, {"cpu": 4})),
        (cluster_of(64, nodes=4), None, (16, {"cpu": 4})),
        (cluster_of(8), 3, (3, {"cpu": 2})),
        (cluster_of(8), 1, (1, {"cpu": 8})),
        (cluster_of(16, nodes=4), 1, (1, {"cpu": 4})),
        (cluster_of(4), 100, (4, {"cpu": 1})),
        (cluster_of(16, gpus=2), None, (2, {"cpu": 8, "gpu": 1})),
        (cluster_of(16, gpus=2), 4, (2, {"cpu": 8, "gpu": 1})),
    ],
)
def test_what_a_trial_gets(
    cluster: Cluster, parallel: int | None, expected: tuple[int, dict[str, int]]
) -> None:
    assert shares(cluster, parallel) == expected


def test_a_gpu_that_is_not_wanted_is_not_taken() -> None:
    assert shares(cluster_of(8, gpus=1), None, gpu=False) == (2, {"cpu": 4})


@pytest.mark.slow
def test_a_search_on_ray(
    two_cores: Cluster,
    run: Run,  # noqa: F811
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    rest = [part for name, value in settings.items() if name != "data"
            for part in (f"--{name}", value)]  # fmt: skip
    done = run("tune", settings["data"], *rest, "--engine", "ray", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)  # and nothing of Ray beside it
    assert sorted(trial["trial"] for trial in said["trials"]) == [0, 1, 2]
    default = said["trials"][0]
    assert (default["ending"], default["epochs"]) == ("complete", 2)
    assert said["mAP50-95"] == max(trial["mAP50-95"] for trial in said["trials"])
    out = settings["out"]
    for trial in said["trials"]:
        folder = out / "trials" / f"{trial['trial']:03}"
        kept = trial["trial"] in (0, said["best"]["trial"])
        assert (folder / "weights" / "best.pt").exists() is kept
        assert not (folder / "weights" / "resume.pt").exists()
        assert trial["epochs"] == (1 if trial["ending"] == "stopped" else 2)
    assert (Path(said["best"]["run"]) / "report.html").is_file()
    assert not (out / "ray").exists()

    # the same as in one process
    own = {k: v for k, v in settings.items() if k not in ("space", "trials", "out")}
    common = TrainConfig.parse({**own, "data": out / "dataset"})
    search = Search(tmp_path / "alone", common, Space({}), Rungs.of(2), 3)
    record = TrialRecord(0, {}, 0.0, (), (), "complete")
    again = alone(search, record)
    assert max(again.values) > 0
    assert again.values == tuple(default["curve"])
    ours, theirs = (
        load_checkpoint(found.run(0).last).model.state_dict()
        for found in (search, replace(search, folder=out))
    )
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.slow
def test_ctrl_c_ends_all_trials_and_the_search_goes_on(
    two_cores: Cluster, settings: dict[str, Any]
) -> None:
    class Interrupting(Silent):
        def say(self, text: str) -> None:
            if text.startswith("trial "):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tune(**settings, progress=Interrupting(), parallel=2)
    ended = {path.parent.name for path in settings["out"].glob("trials/*/trial.json")}
    assert 1 <= len(ended) < 3
    before = {path: path.read_bytes() for path in settings["out"].glob("trials/*/trial.json")}
    result = tune(**settings, parallel=2)
    assert [record.number for record in result.records] == [0, 1, 2]
    assert {path: path.read_bytes() for path in before} == before
    tried = [json.dumps(record.settings) for record in result.records]
    assert len(set(tried)) == 3
    with pytest.raises(UsageError, match="engine was ray and is now local"):
        api.tune(**settings)


@pytest.mark.slow
def test_what_a_trial_is_refused_reaches_the_user(two_cores: Cluster, tmp_path: Path) -> None:
    values = {"data": tmp_path, "weights": "nothing.pt", "epochs": 2, "device": "cpu"}
    search = Search(
        tmp_path / "out",
        TrainConfig.parse(values),
        Space({"strategy": Choice(("full",))}),
        Rungs.of(2),
        2,
    )
    write_json(search.folder / "settings.json", {})
    with pytest.raises(WeightsError, match="nothing"):
        _search(search, Silent(), lambda _: None, address=None, parallel=1)
    assert search.records() == []
