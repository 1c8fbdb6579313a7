"""Which detections of a video are the same object: ByteTrack (Zhang et al. 2022).

Objects are followed by where they should be next. Detections with a high score are matched with
all tracks first, those with a low score then with the tracks that are left: an object that is
half hidden has a low score, and keeps its id. supervision has no tracker any more (0.31); this is
all that is needed of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.errors import UsageError
from detect_tl.runtime import kalman
from detect_tl.runtime.frames import SourceInfo
from detect_tl.runtime.kalman import Floats

LOWEST_SCORE = 0.1
"""From here on a detection may carry on a track, however high the threshold is."""

_USUAL_FPS = 30.0
_KEPT_SECONDS = 1.0
"""How long an object may be hidden and still get its id back."""

# The costs (1 - overlap, or 1 - overlap times score) up to which a pair is one, from the paper's
# code: tracks with sure detections, tracks with unsure ones, tracks of one frame.
_SURE, _UNSURE, _NEW = 0.8, 0.5, 0.7
_SAME_OVERLAP = 0.85


@dataclass(slots=True, eq=False)
class _Track:
    """One object. id: 0 until it was seen twice. seen: the frame in which it last was."""

    mean: Floats
    covariance: Floats
    started: int
    seen: int
    id: int = 0
    lost: bool = False


class Tracker:
    """Gives detections of one source the ids of their objects, frame by frame.

    least: scores must be above it to begin a track; one value, or one for each class. Detections
    below are kept where they carry on a track, and left out where they do not.
    fps: frames per second, from which follows how long a hidden object is remembered; 30 if None.
    count: how many objects have had an id; they are numbered from 1.

    An object has an id from its second frame on, so that a flicker has none (those of the first
    frame have theirs at once). The class of a track may change: of similar classes, a detector
    often says now one and now the other.
    """

    def __init__(self, least: float | Sequence[float], fps: float | Fraction | None = None) -> None:
        self._least = np.asarray(least, np.float32)
        self._patience = max(round(float(fps or _USUAL_FPS) * _KEPT_SECONDS), 1)
        self.count = 0
        self._tracks: list[_Track] = []
        self._first: int | None = None
        self._last = 0

    def __call__(self, index: int, found: Detections) -> Detections:
        """The detections of frame `index` with `track_id`, -1 where there is none.

        Frames come in order; a gap between indices is time that has passed for all tracks.
        """
        steps = 1 if self._first is None else max(index - self._last, 1)
        self._first = index if self._first is None else self._first
        self._last = index
        self._predict(min(steps, self._patience))
        least = self._least if self._least.ndim == 0 else self._least[found.class_id]
        sure = found.score > least
        area = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1, initial=np.inf) > 0
        followed = self._associate(found, sure & area, ~sure & area & (found.score > LOWEST_SCORE))
        numbers = np.full(len(found), NO_TRACK, np.int64)
        for row, track in followed.items():
            if track.id:
                numbers[row] = track.id
        self._forget()
        with_ids = Detections(found.xyxy, found.score, found.class_id, found.mask, numbers)
        return with_ids.where(sure | (numbers != NO_TRACK))

    def _predict(self, steps: int) -> None:
        # A track of one frame has no speed yet.
        moving = [track for track in self._tracks if track.id]
        for track in moving:
            if track.lost:
                track.mean[7] = 0  # its height would grow without end
        for _ in range(steps if moving else 0):
            means = np.array([track.mean for track in moving])
            covariances = np.array([track.covariance for track in moving])
            for track, *state in zip(moving, *kalman.predict(means, covariances), strict=True):
                track.mean, track.covariance = state

    def _associate(
        self, found: Detections, sure: NDArray[np.bool_], unsure: NDArray[np.bool_]
    ) -> dict[int, _Track]:
        """The track of each row that has one; tracks are moved, begun, lost and ended."""
        followed: dict[int, _Track] = {}
        known = [track for track in self._tracks if track.id]
        new = [track for track in self._tracks if not track.id]
        rows = np.flatnonzero(sure)
        known, rows = self._match(known, rows, found, followed, _SURE)
        known_now = [track for track in known if not track.lost]
        left, _ = self._match(
            known_now, np.flatnonzero(unsure), found, followed, _UNSURE, by_score=False
        )
        for track in left:
            track.lost = True
        ended, rows = self._match(new, rows, found, followed, _NEW)
        self._tracks = [track for track in self._tracks if track not in ended]
        self._begin(rows, found, followed)
        return followed

    def _match(
        self,
        tracks: Sequence[_Track],
        rows: NDArray[np.int64],
        found: Detections,
        followed: dict[int, _Track],
        limit: float,
        *,
        by_score: bool = True,
    ) -> tuple[list[_Track], NDArray[np.int64]]:
        """Move the tracks that have a detection there; return the tracks and rows that are left."""
        if not tracks or not len(rows):
            return list(tracks), rows
        boxes = kalman.to_boxes(np.array([track.mean for track in tracks]))
        likeness = _overlaps(boxes, found.xyxy[rows].astype(np.float64))
        if by_score:
            likeness *= found.score[rows]
        pairs = _assign(1 - likeness, limit)
        if pairs:
            self._move([(tracks[t], int(rows[r])) for t, r in pairs], found, followed)
        taken_tracks, taken_rows = {t for t, _ in pairs}, [r for _, r in pairs]
        left = [track for k, track in enumerate(tracks) if k not in taken_tracks]
        return left, np.delete(rows, taken_rows)

    def _move(
        self, pairs: Sequence[tuple[_Track, int]], found: Detections, followed: dict[int, _Track]
    ) -> None:
        means = np.array([track.mean for track, _ in pairs])
        covariances = np.array([track.covariance for track, _ in pairs])
        measured = kalman.to_state(found.xyxy[[row for _, row in pairs]])
        states = zip(*kalman.update(means, covariances, measured), strict=True)
        for (track, row), state in zip(pairs, states, strict=True):
            track.mean, track.covariance = state
            track.seen, track.lost = self._last, False
            track.id = track.id or self._next_id()
            followed[row] = track

    def _begin(
        self, rows: NDArray[np.int64], found: Detections, followed: dict[int, _Track]
    ) -> None:
        states = zip(*kalman.initiate(kalman.to_state(found.xyxy[rows])), strict=True)
        for row, (mean, covariance) in zip(rows.tolist(), states, strict=True):
            track = _Track(mean, covariance, self._last, self._last)
            if self._last == self._first:
                track.id = self._next_id()
            self._tracks.append(track)
            followed[row] = track

    def _next_id(self) -> int:
        self.count += 1
        return self.count

    def _forget(self) -> None:
        """Let go of objects hidden for too long, and of the younger of two that are the same."""
        self._tracks = [t for t in self._tracks if self._last - t.seen <= self._patience]
        lost = [track for track in self._tracks if track.lost]
        seen = [track for track in self._tracks if not track.lost]
        if not lost or not seen:
            return
        overlap = _overlaps(
            kalman.to_boxes(np.array([track.mean for track in seen])),
            kalman.to_boxes(np.array([track.mean for track in lost])),
        )
        doubled = []
        for a, b in np.argwhere(overlap > _SAME_OVERLAP):
            old, other = seen[a], lost[b]
            older = old.seen - old.started > other.seen - other.started
            doubled.append(other if older else old)
        self._tracks = [track for track in self._tracks if track not in doubled]


def check_followed(info: SourceInfo, *, track: bool, lines: bool) -> None:
    """Raise UsageError for tracks in separate images, and for lines without tracks."""
    if track and info.kind == "images":
        raise UsageError(
            "separate images have no objects to follow",
            hint="--track is for videos, cameras and streams.",
        )
    if lines and not track:
        raise UsageError(
            "crossings are counted of objects that are followed", hint="Add --track to --line."
        )


def lowered(least: float | Sequence[float]) -> float | list[float]:
    """The scores from which a detector must answer for tracks to be carried on."""
    if isinstance(least, float | int):
        return min(least, LOWEST_SCORE)
    return [min(each, LOWEST_SCORE) for each in least]


def _overlaps(a: Floats, b: Floats) -> Floats:
    """(n, m) intersection over union of (n, 4) with (m, 4) boxes, xyxy.

    A box that was expected may have shrunk to nothing, or beyond: it overlaps none.
    """
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps


def _assign(cost: Floats, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, where leaving a pair apart costs `limit`."""
    from scipy.optimize import linear_sum_assignment

    gain = np.minimum(cost - limit, 0)
    rows, columns = linear_sum_assignment(gain)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if gain[r, c] < 0]
