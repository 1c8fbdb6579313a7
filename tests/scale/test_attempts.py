"""Which image is at fault when processes die."""

from __future__ import annotations

from detect_tl.scale.attempts import UNWATCHED, Attempts


def test_an_image_is_left_out_when_two_processes_died_at_it() -> None:
    attempts = Attempts()
    for before in range(UNWATCHED):
        assert attempts.begin(7) == (before, frozenset())
    for index in (0, 1, 1, 0):  # a node dies at the first, two processes at the second, …
        _, bad = attempts.begin(7)
        assert index not in bad
        attempts.at(7, index)
    assert attempts.begin(7) == (UNWATCHED + 4, frozenset({0, 1}))


def test_what_is_done_is_forgotten() -> None:
    attempts = Attempts()
    attempts.begin(7)
    attempts.at(7, 3)
    attempts.end(7)
    attempts.end(8)
    assert attempts.begin(7) == (0, frozenset())
