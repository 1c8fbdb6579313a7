"""From what a user names to an augmentation: a preset, one of a plugin, or a YAML file."""

from __future__ import annotations

from pathlib import Path

from detect_tl.augment.spec import Augmentation
from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.yaml_files import read_yaml
from detect_tl.plugins import Group, load_as, names

GROUP: Group = "detect_tl.augmentations"
_SUFFIXES = (".yaml", ".yml")


def augmentation_names() -> list[str]:
    """Names on offer, built in and from plugins; nothing is imported."""
    return names(GROUP)


def find_augmentation(named: str | Path) -> Augmentation:
    """The augmentation of a name, or the one that a YAML file describes.

    Raises UsageError for an unknown name or a file that describes none, DataError for a file that
    cannot be read. What albumentations makes of it is seen when a pipeline is built.
    """
    if _is_file(named):
        return _read(Path(named))
    if str(named) not in augmentation_names():
        hint = did_you_mean(str(named), augmentation_names())
        raise UsageError(
            f"unknown augmentation {str(named)!r}", hint=f"{hint} Or name a .yaml file of your own."
        )
    return load_as(GROUP, str(named), Augmentation)


def resolved_name(named: str) -> str:
    """The name, or the absolute path of a file: the same from every folder."""
    return str(Path(named).resolve()) if _is_file(named) else named


def _is_file(named: str | Path) -> bool:
    return Path(named).suffix.lower() in _SUFFIXES


def _read(path: Path) -> Augmentation:
    content = read_yaml(path)
    try:
        return Augmentation.parse(content, name=path.stem)
    except UsageError as error:
        error.path = path
        raise
