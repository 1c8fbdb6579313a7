"""What comes with the package is found in a checkout, and where a wheel puts it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from detect_tl.core import embedded


def build(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the package in it, and nothing else."""
    monkeypatch.setattr(embedded, "_PACKAGE", tmp_path / "detect_tl")
    return tmp_path


def test_in_a_checkout(root: Path) -> None:
    build(root, "pyproject.toml", "datasets/sample/a.jpg", "weights/starter.pt")
    assert embedded.checkout() == root
    assert embedded.embedded_sample() == root / "datasets" / "sample"
    assert embedded.embedded_starter() == root / "weights" / "starter.pt"


def test_installed(root: Path) -> None:
    inside = root / "detect_tl" / "_embedded"
    build(inside, "sample/a.jpg", "starter.pt")
    build(root, "weights/starter.pt")  # somebody else's, beside an installed package
    assert embedded.checkout() is None
    assert embedded.embedded_sample() == inside / "sample"
    assert embedded.embedded_starter() == inside / "starter.pt"


def test_without_either(root: Path) -> None:
    build(root, "weights/starter.pt")
    assert embedded.embedded_sample() is None
    assert embedded.embedded_starter() is None


def test_the_wheel_carries_both_to_where_they_are_looked_for(repository: Path) -> None:
    settings = tomllib.loads((repository / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    for installed, checked_out in (embedded._SAMPLE, embedded._STARTER):
        assert checked_out in wheel["only-include"]
        folder, _, name = checked_out.partition("/")
        assert f"{wheel['sources'][folder]}/{name}" == f"detect_tl/{installed}"
