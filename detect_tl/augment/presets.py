"""Augmentations by name.

The numbers are meant for pictures of about the size that is trained on (640 pixels). Each preset
changes what differs between pictures of its kind, and leaves alone what tells their classes apart.
"""

from __future__ import annotations

from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.objects import Json

_MIRROR = Step("HorizontalFlip", {"p": 0.5})
# There is no up in a picture taken from above: all eight turns and mirror images are as likely.
_ANY_WAY_UP = Step("SquareSymmetry", {"p": 1.0})


def _colours(hue: float, saturation: float, p: float) -> Step:
    """Shifts of hue in units of 2 degrees, of saturation in 1/255."""
    limits: dict[str, Json] = {
        "hue_shift_limit": hue,
        "sat_shift_limit": saturation,
        "val_shift_limit": 0,
    }
    return Step("HueSaturationValue", {**limits, "p": p})


def _light(share: float, p: float) -> Step:
    """Brightness and contrast, by up to `share` of the full range, short of plain white."""
    limits: dict[str, Json] = {
        "brightness_limit": share,
        "contrast_limit": share,
        "ensure_safe_range": True,
    }
    return Step("RandomBrightnessContrast", {**limits, "p": p})


def _move(scale: tuple[float, float], shift: float, turn: float, shear: float, p: float) -> Step:
    """Scale, shift by a share of the picture, turn and shear in degrees.

    A box without a mask is turned like the ellipse in it, not like its corners: that is nearer to
    most objects (mean IoU with the box of the turned mask, over 8 degrees either way: 0.91 instead
    of 0.85 on photos of COCO). Beyond 15 degrees such boxes become too loose to learn from.
    """
    parameters: dict[str, Json] = {
        "scale": scale,
        "translate_percent": (-shift, shift),
        "rotate": (-turn, turn),
        "shear": (-shear, shear),
        "rotate_method": "ellipse",
        "keep_ratio": True,
        "fill": 114,  # the grey around a picture that Ultralytics trains with
        "p": p,
    }
    return Step("Affine", parameters)


def _quality(worst: int, p: float) -> Step:
    return Step("ImageCompression", {"quality_range": (worst, 95), "p": p})


def _blur(strength: int, p: float) -> Step:
    """Out of focus or shaken, by up to `strength` pixels."""
    kinds = (
        Step("GaussianBlur", {"blur_limit": (3, strength)}),
        Step("MotionBlur", {"blur_limit": (3, strength)}),
    )
    return Step("OneOf", {"p": p}, kinds)


_DARKER = Step(
    "RandomBrightnessContrast",
    {"brightness_limit": (-0.4, -0.1), "contrast_limit": (-0.2, 0.1)},
)

NONE = Augmentation("none", "pictures as they are; training without any augmentation")

LIGHT = Augmentation(
    "light",
    "mirrored, a little brighter or darker; for much data, or colours that matter",
    (_MIRROR, _light(0.15, p=0.4), _colours(4, 15, p=0.3)),
)

DEFAULT = Augmentation(
    "default",
    "mirrored, moved and turned a little, other light and colours, now and then blurred or noisy",
    (
        _MIRROR,
        _move((0.8, 1.2), 0.08, 8, 3, p=0.5),
        _light(0.25, p=0.5),
        _colours(8, 30, p=0.4),
        Step("RandomGamma", {"gamma_limit": (80, 125), "p": 0.2}),
        _blur(5, p=0.15),
        Step("GaussNoise", {"std_range": (0.02, 0.06), "p": 0.15}),
        _quality(50, p=0.2),
        Step("ToGray", {"p": 0.03}),
    ),
)

HEAVY = Augmentation(
    "heavy",
    "strong changes of place, light, colour and quality, and parts erased; for little data",
    (
        _MIRROR,
        _move((0.6, 1.4), 0.15, 15, 5, p=0.8),
        Step("Perspective", {"scale": (0.02, 0.08), "fill": 114, "p": 0.3}),
        _light(0.35, p=0.7),
        _colours(15, 50, p=0.6),
        Step("RandomGamma", {"gamma_limit": (60, 160), "p": 0.3}),
        Step("CLAHE", {"clip_limit": (1, 3), "p": 0.15}),
        Step("RandomShadow", {"p": 0.15}),
        Step(
            "OneOf",
            {"p": 0.3},
            (*_blur(9, p=1).steps, Step("Downscale", {"scale_range": (0.4, 0.8)})),
        ),
        Step("GaussNoise", {"std_range": (0.03, 0.12), "p": 0.3}),
        _quality(30, p=0.3),
        Step(
            "CoarseDropout",
            {
                "num_holes_range": (1, 6),
                "hole_height_range": (0.05, 0.15),
                "hole_width_range": (0.05, 0.15),
                "fill": 114,
                "p": 0.3,
            },
        ),
        Step("ToGray", {"p": 0.08}),
    ),
)

AERIAL = Augmentation(
    "aerial",
    "any way up, from another height, other light, haze; for pictures taken from above",
    (
        _ANY_WAY_UP,
        _move((0.7, 1.3), 0.08, 15, 3, p=0.5),
        _light(0.25, p=0.5),
        _colours(5, 25, p=0.4),
        Step("RandomFog", {"fog_coef_range": (0.05, 0.25), "alpha_coef": 0.08, "p": 0.1}),
        Step("RandomShadow", {"p": 0.1}),
        Step("Downscale", {"scale_range": (0.6, 0.9), "p": 0.15}),
        _blur(5, p=0.15),
        _quality(50, p=0.2),
    ),
)

MICROSCOPY = Augmentation(
    "microscopy",
    "any way up, bent a little, stain, exposure and focus changed; for cells and tissue",
    (
        _ANY_WAY_UP,
        _move((0.85, 1.15), 0.05, 15, 0, p=0.5),
        Step("ElasticTransform", {"alpha": 40, "sigma": 8, "fill": 114, "p": 0.2}),
        _light(0.2, p=0.5),
        _colours(6, 25, p=0.5),
        Step("RandomGamma", {"gamma_limit": (80, 125), "p": 0.3}),
        Step("Illumination", {"intensity_range": (0.02, 0.15), "p": 0.2}),
        Step("Defocus", {"radius": (1, 3), "alias_blur": (0.1, 0.3), "p": 0.2}),
        Step("GaussNoise", {"std_range": (0.01, 0.06), "p": 0.3}),
    ),
)

LOW_LIGHT = Augmentation(
    "low-light",
    "darker, noisier, shaken, with the colours of lamps; for night and indoors",
    (
        _MIRROR,
        _move((0.85, 1.15), 0.05, 5, 2, p=0.4),
        Step("OneOf", {"p": 0.9}, (_DARKER, Step("RandomGamma", {"gamma_limit": (130, 220)}))),
        Step("PlanckianJitter", {"p": 0.4}),
        Step(
            "OneOf",
            {"p": 0.6},
            (
                Step("ISONoise", {"color_shift": (0.01, 0.08), "intensity": (0.1, 0.6)}),
                Step("ShotNoise", {"scale_range": (0.02, 0.15)}),
            ),
        ),
        Step("MotionBlur", {"blur_limit": (3, 9), "p": 0.25}),
        _quality(40, p=0.3),
    ),
)
