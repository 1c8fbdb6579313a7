"""Instance masks from prototypes and coefficients (YOLACT, Bolya et al. 2019, section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import Size
from detect_tl.runtime.preprocess import Letterbox

Float = NDArray[np.float32]


def decode_masks(
    prototypes: Float, coefficients: Float, xyxy: Float, letterbox: Letterbox
) -> NDArray[np.bool_]:
    """Masks at the resolution of the image.

    prototypes: (k, mask height, mask width) over the letterboxed input.
    coefficients: (n, k). xyxy: (n, 4) boxes in image pixels; a mask ends at its box.
    Returns (n, height, width) booleans.

    The sum of the prototypes is sampled bilinearly at the centre of every image pixel inside the
    box and cut at 0 (a sigmoid of one half), so the outline is as fine as the prototypes allow:
    Ultralytics' `retina_masks=True`, rather than its masks at input resolution, which are enlarged
    as jagged bitmaps and cost mask mAP at high IoU.
    """
    count, (width, height) = len(coefficients), letterbox.source
    masks = np.zeros((count, height, width), np.bool_)
    if not count:
        return masks
    k, rows, columns = prototypes.shape
    logits = (coefficients @ prototypes.reshape(k, -1)).reshape(count, rows, columns)
    # A pixel is inside when its corner is: the convention of Ultralytics' `crop_mask`.
    boxes = np.ceil(xyxy).astype(int)
    for mask, logit, (x1, y1, x2, y2) in zip(masks, logits, boxes, strict=True):
        if x1 < x2 and y1 < y2:
            part = _sample(logit, letterbox, (x1, y1), Size(x2 - x1, y2 - y1))
            mask[y1:y2, x1:x2] = part > 0
    return masks


def _sample(logit: Float, letterbox: Letterbox, corner: tuple[int, int], size: Size) -> Float:
    """Logits at the pixel centres of the part of the image at `corner` (x, y)."""
    import cv2

    matrix = np.zeros((2, 3))
    pads = letterbox.left, letterbox.top
    cells = logit.shape[1] / letterbox.target[1], logit.shape[0] / letterbox.target[0]
    for axis in range(2):
        step = letterbox.scale[axis] * cells[axis]
        matrix[axis, axis] = step
        # The centre of a pixel is at +0.5 in the image and in the prototypes alike.
        matrix[axis, 2] = (corner[axis] + 0.5) * step + pads[axis] * cells[axis] - 0.5
    return np.asarray(
        cv2.warpAffine(
            logit,
            matrix,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )
