"""The colours of Pascal VOC, and the classes of its own challenge."""

from __future__ import annotations

from functools import cache

# In the order of their numbers in SegmentationClass, which start at 1.
CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()

VOID = 255

Colour = tuple[int, int, int]


@cache
def palette() -> tuple[Colour, ...]:
    """RGB of the numbers 0 to 255, as the development kit of VOC hands them out.

    The bits of a number go in turn to red, green and blue, from the highest bit of each downwards.
    """
    return tuple(_colour(number) for number in range(256))


def _colour(number: int) -> Colour:
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            bit = number >> (3 * place + channel) & 1
            channels[channel] |= bit << (7 - place)
    return channels[0], channels[1], channels[2]
