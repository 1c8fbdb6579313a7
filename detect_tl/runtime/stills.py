"""The images that a user names, one by one or by the list, where videos would make no sense."""

from __future__ import annotations

from pathlib import Path

from detect_tl.core.errors import UsageError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.runtime.several import is_list, read_list
from detect_tl.runtime.sources import STDIN, image_files, is_address


def list_stills(source: str | Path) -> list[Path]:
    """The files of an image, a folder, a pattern in quotes, or a .txt list of those (each once).

    Raises DataError when there are none, UsageError for a video, a camera or a stream.
    """
    if not is_list(source):
        return _of_one(str(source))
    # a list may name some from the root and others from where it lies
    names = read_list(Path(source).absolute())
    return list(dict.fromkeys(path.absolute() for name in names for path in _of_one(name)))


def _of_one(name: str) -> list[Path]:
    path = Path(name).expanduser()
    moving = name == STDIN or name.isdecimal() or is_address(name)
    if moving or (path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES):
        raise UsageError(
            f"{name} is no image, folder, pattern or list of images",
            hint="Save pictures of it first, with their labels: detect-tl predict MODEL "
            f"{name} --save labelme",
        )
    return image_files(path)
