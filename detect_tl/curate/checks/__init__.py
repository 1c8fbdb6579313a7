"""Checking a data set: every check is a pure function of a snapshot that yields findings.

It neither prints nor mends; `repair` does the mending, by the same rules.
"""

from detect_tl.curate.checks.base import Check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.registry import CHECKS, Selection, consequence_of, find_checks
from detect_tl.curate.checks.run import check_dataset
from detect_tl.curate.checks.usable import drop_unusable

__all__ = [
    "CHECKS",
    "Check",
    "Limits",
    "Selection",
    "check_dataset",
    "consequence_of",
    "drop_unusable",
    "find_checks",
]
