"""Settings are declared once: what the command line and the bundle offer is what is declared."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from detect_tl.cli.predict import command as predict_command
from detect_tl.cli.serve import command as serve_command
from detect_tl.core.errors import UsageError
from detect_tl.export.bundled import detect
from detect_tl.runtime.config import DetectorConfig, PredictConfig


def test_plain_values_become_finished_ones() -> None:
    config = PredictConfig.parse({"imgsz": 320, "out": "found", "classes": ["car", 3]})
    assert (config.imgsz, config.out) == ((320, 320), Path("found"))
    assert PredictConfig.parse({}) == PredictConfig()
    assert PredictConfig.parse({"imgsz": (480, 640)}).imgsz == (480, 640)


@pytest.mark.parametrize(
    ("values", "told", "hint"),
    [
        ({"confi": 0.5}, "unknown setting 'confi'", "Did you mean 'conf'?"),
        ({"conf": 1.5}, "conf is 1.5", "between 0 and 1"),
        ({"conf": float("nan")}, "conf is nan", "between 0 and 1"),
        ({"conf": {"car": 0.5, "dog": -1}}, "conf is -1", "between 0 and 1"),
        ({"max_det": 0}, "max_det is 0", "1 or more"),
        ({"limit": 0}, "limit is 0", "1 or more"),
        ({"tiles": 16}, "tiles is 16", "32 or more"),
        ({"tile_overlap": 0.95}, "tile_overlap is 0.95", "between 0 and 0.9"),
        ({"reconnect": -1}, "reconnect is -1", "0 or more"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], told: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        PredictConfig.parse(values)
    assert caught.value.message == told
    assert hint in caught.value.hint


def test_a_detector_takes_no_setting_of_a_run() -> None:
    with pytest.raises(UsageError, match="unknown setting 'track'"):
        DetectorConfig.parse({"track": True})


def test_thresholds_are_asked_for_only_where_they_are_wanted() -> None:
    config = PredictConfig(conf="auto", limit=3).with_thresholds(lambda: {"car": 0.4})
    assert config == PredictConfig(conf={"car": 0.4}, limit=3)
    assert PredictConfig(conf=0.3).with_thresholds(lambda: pytest.fail("asked")).conf == 0.3


def test_every_setting_is_an_option_with_its_default() -> None:
    options = {option.name: option for option in predict_command.params}
    for setting in fields(PredictConfig):
        assert options[setting.name].default == setting.default, setting.name
    for option in serve_command.params:
        if option.name in ("conf", "imgsz", "backend", "device"):
            assert option.default == getattr(DetectorConfig(), option.name)


def test_a_bundle_offers_settings_under_their_names_and_defaults() -> None:
    parser = detect._parser()
    given = vars(parser.parse_args(["street.mp4"]))
    assert given.pop("source") == "street.mp4"
    assert set(given) == set(detect.OPTIONS)
    assert PredictConfig.parse(given) == PredictConfig()
