"""Curves: read from metrics.csv, grouped, and drawn."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import pytest
from defusedxml import ElementTree

from detect_tl.core.errors import DataError
from detect_tl.evaluation.plots import Panel, panel_svg, panels, read_curves, write_results

HEADER = (
    "epoch,time,train/box_loss,train/cls_loss,metrics/precision(B),metrics/mAP50(B),"
    "metrics/mAP50-95(B),metrics/mAP50(M),val/box_loss,val/cls_loss,train/sem_loss,lr/pg0,lr/pg1"
)


def table(epochs: int) -> str:
    rows = [
        f"{e},9,{3 / e},2,.5,{e / 9},{e / 18},.1,{4 / e},,0,.1,.1" for e in range(1, epochs + 1)
    ]
    return "\n".join([HEADER, *rows, ""])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.csv"
    path.write_text(table(4))
    return path


def test_columns_are_grouped_into_panels(csv: Path) -> None:
    shown = panels(read_curves(csv))
    assert [(panel.title, list(panel.lines)) for panel in shown] == [
        ("mAP of boxes", ["mAP50", "mAP50-95"]),
        ("mAP of masks", ["mAP50"]),
        ("Precision and recall of boxes", ["precision"]),
        ("Loss: boxes", ["train", "val"]),
        ("Loss: classes", ["train"]),  # its val column is empty; "sem" is always 0
        ("Learning rate", ["all"]),  # two groups with the same rate
    ]
    assert shown[0].epochs == (1, 2, 3, 4)
    assert shown[3].lines["val"] == pytest.approx([4, 2, 4 / 3, 1])


def test_empty_cells_are_gaps(csv: Path) -> None:
    assert all(map(math.isnan, read_curves(csv)["val/cls_loss"]))


@pytest.mark.parametrize("epochs", [1, 30])
def test_results_are_drawn(tmp_path: Path, csv: Path, epochs: int) -> None:
    csv.write_text(table(epochs))
    write_results(read_curves(csv), tmp_path / "results.png")
    image = cv2.imread(str(tmp_path / "results.png"))
    assert image.shape[1] > image.shape[0] > 300
    assert image.std() > 5  # something is on it


def test_a_run_without_an_epoch_has_no_results(tmp_path: Path, csv: Path) -> None:
    csv.write_text(HEADER + "\n")
    write_results(read_curves(csv), tmp_path / "results.png")
    assert not (tmp_path / "results.png").exists()
    csv.write_text("")
    assert panels(read_curves(csv)) == []


def test_the_same_panel_gives_the_same_drawing() -> None:
    panel = Panel("mAP of boxes", (1, 2, 3), {"mAP50": (0.1, 0.2, math.nan)})
    drawing = panel_svg(panel)
    assert drawing == panel_svg(panel)
    assert ElementTree.fromstring(drawing[drawing.index("<svg") :]).tag.endswith("svg")


@pytest.mark.parametrize(
    ("content", "says"), [("epoch,a\n1,2\n2\n", ":3: has 1 columns"), ("epoch\nx\n", ":2: 'x' is")]
)
def test_a_broken_table_names_the_line(csv: Path, content: str, says: str) -> None:
    csv.write_text(content)
    with pytest.raises(DataError, match=says):
        read_curves(csv)
