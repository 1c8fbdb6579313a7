"""Where models train in tests."""

from __future__ import annotations

import os

DEVICE = os.environ.get("DETECT_TL_TEST_DEVICE", "cpu")
"""`DETECT_TL_TEST_DEVICE=0 pytest tests/training tests/api` holds a GPU to the same laws."""
