"""Where boxes will be in the next frame: a Kalman filter of constant velocity for many at once.

The state of a box is its centre x and y, its width over height, its height, and the change of each
of them per frame. The noise grows with the height, and its constants are those of SORT's
successors (Wojke et al. 2017, "Simple online and realtime tracking with a deep association
metric"), as ByteTrack takes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_POSITION, _VELOCITY = 1 / 20, 1 / 160
"""Standard deviations of a box's place and of its speed, as shares of its height."""

_MOTION = np.eye(8) + np.eye(8, k=4)
_SEEN = np.eye(4, 8)


def initiate(measured: Floats) -> tuple[Floats, Floats]:
    """(n, 8) states and (n, 8, 8) covariances of boxes seen for the first time.

    measured: (n, 4) centre x, centre y, width over height, height.
    """
    mean = np.concatenate([measured, np.zeros_like(measured)], axis=1)
    return mean, _diagonal(measured[:, 3], (2, 1e-2), (10, 1e-5))


def predict(mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """The states one frame later."""
    noise = _diagonal(mean[:, 3], (1, 1e-2), (1, 1e-5))
    return mean @ _MOTION.T, _MOTION @ covariance @ _MOTION.T + noise


def update(mean: Floats, covariance: Floats, measured: Floats) -> tuple[Floats, Floats]:
    """The states after their boxes were seen at `measured`."""
    noise = _diagonal(mean[:, 3], (1, 1e-1), (0, 0))[:, :4, :4]
    expected = _SEEN @ covariance @ _SEEN.T + noise
    gain = np.linalg.solve(expected, _SEEN @ covariance).transpose(0, 2, 1)
    surprise = measured - mean[:, :4]
    moved = mean + (gain @ surprise[:, :, None])[:, :, 0]
    return moved, covariance - gain @ expected @ gain.transpose(0, 2, 1)


def to_state(xyxy: NDArray[np.float32]) -> Floats:
    """(n, 4) centre x, centre y, width over height, height of boxes that are not empty."""
    boxes = xyxy.astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.column_stack([centres, sides[:, 0] / sides[:, 1], sides[:, 1]])


def to_boxes(mean: Floats) -> Floats:
    """(n, 4) xyxy of states."""
    half = np.column_stack([mean[:, 2] * mean[:, 3], mean[:, 3]]) / 2
    return np.concatenate([mean[:, :2] - half, mean[:, :2] + half], axis=1)


def _diagonal(
    height: Floats, position: tuple[float, float], velocity: tuple[float, float]
) -> Floats:
    """(n, 8, 8) covariances without correlation.

    position, velocity: a factor for what grows with the height, and the deviation of the aspect.
    """
    deviation = np.empty((len(height), 8))
    deviation[:, [0, 1, 3]] = (position[0] * _POSITION * height)[:, None]
    deviation[:, [4, 5, 7]] = (velocity[0] * _VELOCITY * height)[:, None]
    deviation[:, 2], deviation[:, 6] = position[1], velocity[1]
    return np.square(deviation)[:, :, None] * np.eye(8)
