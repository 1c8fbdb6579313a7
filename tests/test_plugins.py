"""The plugin door: by name, one at a time, built-in or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints, entry_points

import pytest

from detect_tl import plugins
from detect_tl.core.errors import MachineError, UsageError

GROUP: plugins.Group = "detect_tl.formats"


def _forget() -> None:
    plugins._installed.cache_clear()
    plugins._points.cache_clear()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer two plugins: one that works, one whose module is missing."""
    points = [
        EntryPoint("good", "json:dumps", GROUP),
        EntryPoint("broken", "no_such_module:X", GROUP),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda: EntryPoints(points))
    _forget()
    yield
    _forget()


def test_names_are_listed_without_an_import(offer: None) -> None:
    assert plugins.names(GROUP) == ["broken", "good"]
    assert "no_such_module" not in sys.modules


def test_one_plugin_is_loaded_by_name(offer: None) -> None:
    assert plugins.load(GROUP, "good")([1]) == "[1]"


def test_an_unknown_name_gets_a_suggestion(offer: None) -> None:
    with pytest.raises(UsageError, match="unknown format 'goood'") as caught:
        plugins.load(GROUP, "goood")
    assert caught.value.hint == "Did you mean 'good'?"


def test_a_plugin_that_cannot_be_imported_is_named(offer: None) -> None:
    with pytest.raises(MachineError, match=r"'broken' .*no_such_module"):
        plugins.load(GROUP, "broken")


def test_the_built_in_formats_come_through_the_same_door() -> None:
    built_in = {"coco", "labelme", "voc", "yolo"}
    assert built_in <= {point.name for point in entry_points(group=GROUP)}
    assert built_in <= set(plugins.names(GROUP))
