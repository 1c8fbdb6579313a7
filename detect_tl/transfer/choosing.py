"""Which strategy `auto` takes, and why."""

from __future__ import annotations

from dataclasses import dataclass

from detect_tl.core.words import counted


@dataclass(frozen=True, slots=True)
class Situation:
    """What a choice of strategy depends on.

    images: for training. classes, known: of the new task, and how many of them the source knows by
    name. gpu: whether there is one. epochs: as asked for.
    """

    images: int
    classes: int
    known: int
    gpu: bool
    epochs: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy by name, and why, in one line.

    rounds: trainings from the same start whose weights are averaged.
    """

    strategy: str
    why: str
    rounds: int = 1


def choose(situation: Situation) -> Choice:
    """The strategy for a situation."""
    s = situation
    if s.known == s.classes and s.images < _FEW:
        known = counted(s.classes, "class", "classes")
        why = (
            f"the source knows {known} by name and there are {s.images} images: its backbone stays"
        )
        return Choice("freeze", why)
    if s.epochs < _SHORT:
        why = f"{counted(s.epochs, 'epoch')} are too few to train everything: the backbone stays"
        return Choice("freeze", why)
    about = "new classes" if not s.known else f"{s.known} of {s.classes} classes known by name"
    if not s.gpu and s.epochs < _MIDDLE:
        why = f"{about}, no GPU, {s.epochs} epochs: the first five layers stay, their features kept"
        return Choice("partial", why)
    if not s.gpu and few_and_long(s.images, s.epochs):
        why = f"{about}, {s.images} images, no GPU, {s.epochs} epochs: everything trains, gently"
        return Choice("full", why, rounds=_SOUP)
    if not s.gpu:
        why = f"{about}, no GPU: everything trains in the end, on kept features until then"
        return Choice("gradual", why)
    why = f"{about}, {s.images} images: neck and head first, on kept features, then everything"
    return Choice("lp-ft", why)


def few_and_long(images: int, epochs: int) -> bool:
    """Whether so few images are seen so often that what is learned of them must be held back.

    There a few kept views are learned by heart, and small batches lead astray. Of 20 images of BCCD
    (320 pixels, 100 epochs, three draws) `gradual` in batches of 4 reached .560, .562, .563 on val
    and .549, .553, .558 on test; `full` in batches of 16 .576, .587, .594 and .570, .578, .576, and
    with 50 epochs .576 and .576 (the first draw); `full` in batches of 4 .571 and .548 (the same).
    Of 50 images 50 epochs of that were as good as 100 of `gradual` (.598 and .596, one draw). Two
    times 50 epochs, averaged, reached .588, .595, .587 and .588, .579, .576 of 20 images.
    """
    return images <= _FEW_FOR_LONG and epochs >= _LONG


# Below this, where the source knows all classes, training everything gained nothing (see README).
_FEW = 50
_FEW_FOR_LONG = 50
_LONG = 50
_SOUP = 2
_SHORT = 6
# On BCCD `partial` gained nothing from more epochs (mAP50-95 .624 to .637 after 12 and 14, .632
# after 30), and `gradual` was better for a third more time (.640 after 20).
_MIDDLE = 12
