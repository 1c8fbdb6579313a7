"""Fixtures of other rooms, for the verbs that join them."""

from __future__ import annotations

from tests.runtime.conftest import detect_model, segment_model  # noqa: F401
from tests.training.conftest import small_checkpoint  # noqa: F401
