"""What only reading can notice, under the ids that the readers give it.

What a single format notices ("coco.bad-object") is not listed: its messages say it all.
"""

from __future__ import annotations

from detect_tl.curate.checks.base import Check

_LOST = "The objects are lost to training and evaluation."

CHECKS = (
    Check(
        "annotation.unrecognised",
        "error",
        "A file called like an image that holds no annotation of the format",
        "Its objects are lost to training and evaluation.",
    ),
    Check(
        "annotation.not-exhaustive",
        "info",
        "Images in which some classes were not looked for, or not every object marked",
        "What is found of these classes there counts neither for nor against a model.",
    ),
    Check("annotation.unreadable", "error", "An annotation file that cannot be read", _LOST),
    Check(
        "image.ambiguous", "error", "An annotation whose image may be one of several files", _LOST
    ),
    Check(
        "image.name-mismatch",
        "warning",
        "An annotation that does not give its image the name it has",
        "Harmless here if it is the right one; other programs go by the name and find none.",
    ),
    Check(
        "image.size-mismatch",
        "warning",
        "An annotation that was made for an image of another size",
        "If the coordinates were not scaled with the image, boxes lie beside their objects.",
    ),
    Check(
        "image.exif-rotated",
        "info",
        "An image stored turned, with its objects drawn on the picture as stored",
        "Harmless here, for the coordinates were turned; other programs get them wrong.",
    ),
    Check(
        "image.described-twice",
        "warning",
        "An image that two annotations describe differently",
        "The objects of both are kept; some of them may be one object.",
    ),
    Check(
        "image.embedded",
        "warning",
        "An image that is only there inside its annotation",
        "Programs other than the one that wrote it do not find the image.",
    ),
    Check(
        "image.embedded-differs",
        "info",
        "An image whose copy inside the annotation has other bytes",
        "Harmless if both show the same; the file is used.",
    ),
    Check(
        "image.unlisted",
        "info",
        "Images that the annotations do not list",
        "They are left out, for nobody said that there is nothing on them.",
    ),
    Check(
        "class.placeholder",
        "info",
        "A category that only groups the others",
        "It is left out; kept, it would be an output of the model for nothing.",
    ),
    Check(
        "class.id-gaps",
        "info",
        "Ids of classes in the source that are not 0, 1, 2, …",
        "Harmless here, classes are matched by name; programs that go by the number mix them up.",
    ),
    Check("source.closed", "error", "A folder that may not be opened", _LOST),
    Check(
        "source.link-out",
        "warning",
        "Links that lead out of the source",
        "What lies behind them is not read; --follow-links reads it.",
    ),
    Check(
        "source.odd-file",
        "info",
        "Neither a file nor a folder, but a pipe or a device",
        "It is left out.",
    ),
    Check(
        "source.stray-file",
        "info",
        "Annotations of another format that describe none of the images",
        "They are left out.",
    ),
    Check(
        "source.united",
        "info",
        "Folders of several formats, read as one data set",
        "Harmless if classes of the same name mean the same in all of them.",
    ),
    Check(
        "split.overlap",
        "warning",
        "An image that the source puts into several splits",
        "It is kept in one; in both, scores would be too good.",
    ),
    Check(
        "split.unknown",
        "info",
        "A part of the source whose name stands for no split",
        "Conversion divides its images anew, or puts them into train.",
    ),
    Check(
        "split.unlisted",
        "info",
        "Images that no official list of a split names",
        "They are left out.",
    ),
)
