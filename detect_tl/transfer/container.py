"""Telling a checkpoint file from what else is found under its name, before anything is loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

from detect_tl.core.errors import WeightsError

_DOWNLOAD_AGAIN = "Download or copy the file again."


def require_checkpoint_file(path: Path) -> None:
    """Raise WeightsError, saying what the file is instead, unless torch.save wrote it."""
    head = _first_bytes(path)
    if head.startswith(b"PK\x03\x04"):
        _require_torch_archive(path)
        return
    problem, hint = _other_kind(head)
    raise WeightsError(f"is not a checkpoint: {problem}", path=path, hint=hint)


def _first_bytes(path: Path, count: int = 512) -> bytes:
    if path.is_dir():
        raise WeightsError(
            "is a folder, not a checkpoint", path=path, hint="Name the .pt file inside it."
        )
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except FileNotFoundError as error:
        raise WeightsError(
            "does not exist", path=path, hint="Name a .pt file that is there."
        ) from error
    except OSError as error:
        raise WeightsError(
            f"cannot be read: {error.strerror}", path=path, hint="Check its permissions."
        ) from error


def _require_torch_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise WeightsError(
            "is damaged: it begins like a checkpoint, but its end is missing or broken",
            path=path,
            hint=_DOWNLOAD_AGAIN,
        ) from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise WeightsError(
            "is a TorchScript export, which cannot be trained or inspected",
            path=path,
            hint="Use the .pt file from before the export.",
        )
    if not any(name.count("/") == 1 and name.endswith("/data.pkl") for name in names):
        raise WeightsError(
            "is a zip archive, but not one that torch.save wrote",
            path=path,
            hint="Unpack it, and name the .pt file inside.",
        )


def _other_kind(head: bytes) -> tuple[str, str]:
    """What a file is that is no torch archive, and what to do about it."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kinds = (
        (not head, "the file is empty", _DOWNLOAD_AGAIN),
        (
            text.startswith((b"<!doctype", b"<html", b"<?xml")),
            "it is a web page, so the download went wrong",
            _DOWNLOAD_AGAIN,
        ),
        (
            text.startswith(b"version https://git-lfs"),
            "it is a Git LFS pointer, the file itself was not fetched",
            "Run `git lfs pull` where it came from.",
        ),
        (
            head.startswith(b"\x80"),
            "it is a pickle, or was written by a torch older than 1.6",
            "Load it with the torch that wrote it, and save it with a current one.",
        ),
        (
            head.startswith(b"\x08") and (b"pytorch" in head or b"onnx" in head),
            "it is an ONNX export",
            "Use the .pt file from before the export.",
        ),
        (
            all(byte >= 0x20 or byte in b"\t\r\n" for byte in head),
            "it is a text file",
            "Name a .pt file, or an official model such as yolo11n.",
        ),
    )
    for found, problem, hint in kinds:
        if found:
            return problem, hint
    return "its first bytes belong to no format of torch", _DOWNLOAD_AGAIN
