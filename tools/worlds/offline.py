"""Switches that keep Ultralytics off the network, the home folder and the package installer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def quiet_offline() -> None:
    """Set them; call before the first import of Ultralytics, whose modules read them once."""
    folder = Path(tempfile.gettempdir()) / f"detect-tl-tools-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
