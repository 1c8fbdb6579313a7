"""Text encoders: what open-vocabulary models need, beside themselves, to be told names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.errors import WeightsError
from detect_tl.core.files import sha256_file
from detect_tl.transfer.fetch import search_folders
from detect_tl.transfer.manifest import WeightsEntry

_ASSETS = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
_CLIP_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"

TOKENIZER = "clip"
TOKENIZER_SOURCE = "git+https://github.com/ultralytics/CLIP.git"
"""The package that cuts texts into tokens, for all of the encoders; it is not on PyPI."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A file under its published name.

    kind: as Ultralytics calls it. sha256: None where nobody has written it down.
    """

    kind: str
    file: str
    url: str
    sha256: str | None = None

    def find_here(self) -> Path | None:
        """The file in one of the folders with weights.

        Raises WeightsError for one that is not what its name says.
        """
        places = (folder / self.file for folder, _ in search_folders())
        path = next((place for place in places if place.is_file()), None)
        if path is not None and self.sha256 not in (None, sha256_file(path)):
            raise WeightsError(
                f"is not the published {self.file}: its SHA-256 is another",
                path=path,
                hint=f"Download it again: {self.url}",
            )
        return path


ENCODERS: dict[str, TextEncoder] = {
    "mobileclip": TextEncoder("mobileclip", "mobileclip_blt.ts", f"{_ASSETS}/mobileclip_blt.ts"),
    "mobileclip2": TextEncoder("mobileclip2", "mobileclip2_b.ts", f"{_ASSETS}/mobileclip2_b.ts"),
    "clip": TextEncoder(
        "clip",
        "ViT-B-32.pt",
        f"https://openaipublic.azureedge.net/clip/models/{_CLIP_SHA256}/ViT-B-32.pt",
        _CLIP_SHA256,
    ),
}


def encoder_of(entry: WeightsEntry) -> TextEncoder:
    """The encoder that an official open-vocabulary model was trained with."""
    if entry.family == "YOLO-World":
        return ENCODERS["clip"]
    return ENCODERS["mobileclip2" if entry.name.startswith("yoloe-26") else "mobileclip"]
