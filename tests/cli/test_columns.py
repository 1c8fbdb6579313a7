"""A table of one's own, from the command line to a dataset folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, picture, refused

COLUMNS = "image=photo,label=species,x=left,y=top,w=across,h=down"


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """A table as a spreadsheet of a country with decimal commas has it."""
    folder = tmp_path / "survey"
    rows = ["photo;species;left;top;across;down"]
    for name in ("train/a.jpg", "valid/b.jpg"):
        picture(folder / name)
        rows.append(f"{name};Erdkröte;10,5;20;4;8")
    (folder / "finds.csv").write_text("\n".join(rows), "utf-8-sig")
    return folder


def test_a_table_with_named_columns_is_converted(run: Run, survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("convert", survey, out, "--columns", COLUMNS)
    assert result.exit_code == 0, result.output
    assert "Erdkröte" in (out / "data.yaml").read_text("utf-8")
    labels = [path.read_text() for path in (out / "labels").rglob("*.txt")]
    assert len(labels) == 2
    assert all(rows.startswith("0 ") for rows in labels)


def test_a_wrong_column_is_named_with_those_there_are(
    run: Run, survey: Path, tmp_path: Path
) -> None:
    wrong = COLUMNS.replace("species", "specie")
    words = ("'specie'", "photo, species, left", "Did you mean 'species'?")
    refused(run("convert", survey, tmp_path / "out", "--columns", wrong), 2, *words)
    refused(run("check", survey, "--columns", wrong), 2, *words)
    assert not (tmp_path / "out").exists()


def test_without_columns_the_hint_says_how(run: Run, survey: Path) -> None:
    refused(run("check", survey), 3, "name them with --columns")
