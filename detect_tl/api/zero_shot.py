"""From names that someone asks for to models that find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from detect_tl.api.exporting import export
from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.findings import Finding
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.runtime.wanted import Wanted
    from detect_tl.transfer.encoders import TextEncoder
    from detect_tl.transfer.manifest import WeightsEntry


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """Models that find the names that were asked for, and what stands for what."""

    models: tuple[Wanted, ...]
    findings: tuple[Finding, ...]


def find_names(
    model: Path,
    names: str | Sequence[str],
    *,
    called: str,
    open_weights: str | Path | None,
    trust: bool,
    progress: Progress,
) -> ZeroShot:
    """First what the classes of a model cover, then an open-vocabulary model for the rest.

    model: an exported file. called: what it is called to people. open_weights: None: the first
    official open-vocabulary model on this machine.
    What stands for what is said before anything runs.

    Raises UsageError for no names, WeightsError (naming the files and their sources) for names that
    nothing covers where there is no open-vocabulary model or no text encoder on this machine.
    """
    from detect_tl.runtime.wanted import Wanted
    from detect_tl.transfer.cover import cover_names

    several = names.split(",") if isinstance(names, str) else names
    asked = [name for name in (name.strip() for name in several) if name]
    if not asked:
        raise UsageError("there is no name to look for", hint='For example "forklift,helmet".')
    coverage = cover_names(asked, _names_of(model))
    told = [cover.describe(called) for cover in coverage.covers]
    for line in told:
        progress.say(line)
    models = [Wanted(model, coverage.labels)] if coverage.labels else []
    if coverage.missing:
        path = _told(coverage.missing, open_weights, trust=trust, progress=progress)
        models.append(Wanted(path, {name: name for name in coverage.missing}))
        told.append(f"{', '.join(coverage.missing)}: looked for by {path.stem}")
    return ZeroShot(tuple(models), tuple(Finding("zero-shot", "info", line) for line in told))


def _names_of(path: Path) -> tuple[str, ...]:
    """The classes of an exported model."""
    from contextlib import closing

    from detect_tl.runtime.backends import load_backend

    with closing(load_backend(path, device="cpu")) as backend:
        return backend.spec.names


def _told(
    names: Sequence[str], weights: str | Path | None, *, trust: bool, progress: Progress
) -> Path:
    """An exported model that finds exactly these names; from the user's cache, if it is there."""
    from detect_tl.core.files import sha256_file
    from detect_tl.transfer.fetch import cache_folder

    checkpoint = _open_weights(names, weights, trust=trust, progress=progress)
    marks = sha256("\n".join((sha256_file(checkpoint), *names)).encode()).hexdigest()[:16]
    target = cache_folder().parent / "onnx" / f"{checkpoint.stem}-{marks}.onnx"
    if target.is_file():
        return target
    from detect_tl.models.open_vocabulary import encoder_for, load_open_vocabulary, tell_names
    from detect_tl.transfer.encoders import TOKENIZER

    loaded = load_open_vocabulary(checkpoint, trust=trust)
    encoder = encoder_for(loaded)
    file = encoder.find_here()
    if file is None or find_spec(TOKENIZER) is None:
        raise _missing(names, None, encoder)
    progress.say(f"telling {checkpoint} to find {', '.join(names)}")
    with TemporaryDirectory(prefix="detect-tl-") as folder:
        told = Path(folder, checkpoint.name)
        tell_names(loaded, names, encoder, file, told)
        return export(told, target, trust=trust, progress=progress).path


def _open_weights(
    names: Sequence[str], weights: str | Path | None, *, trust: bool, progress: Progress
) -> Path:
    """The checkpoint that was named, or the first official one on this machine."""
    from detect_tl.transfer.encoders import encoder_of
    from detect_tl.transfer.fetch import find_here, locate
    from detect_tl.transfer.manifest import open_vocabulary

    if weights is None:
        weights = next((entry.name for entry in open_vocabulary() if find_here(entry)), None)
    if weights is None:
        usual = open_vocabulary()[0]
        raise _missing(names, usual, encoder_of(usual))
    return locate(weights, trust=trust, progress=progress).path


def _missing(
    names: Sequence[str], weights: WeightsEntry | None, encoder: TextEncoder
) -> WeightsError:
    """Say which files are not on this machine, where they come from, and where they go."""
    from detect_tl.transfer.encoders import TOKENIZER, TOKENIZER_SOURCE
    from detect_tl.transfer.fetch import FOLDER_VARIABLE

    files = {} if weights is None else {weights.file: weights.url}
    if encoder.find_here() is None:
        files[encoder.file] = encoder.url
    absent = [f"no {file}" for file in files]
    steps = []
    if files:
        where = f"{Path.cwd() / 'weights'} or a folder named by {FOLDER_VARIABLE}"
        steps.append(f"Download {' and '.join(files.values())} and put what you get into {where}.")
    if find_spec(TOKENIZER) is None:
        absent.append(f"no Python package {TOKENIZER!r}")
        steps.append(f"Run `pip install {TOKENIZER_SOURCE}`.")
    return WeightsError(
        f"to find {', '.join(names)}, which no class stands for, this machine has"
        f" {', '.join(absent)}",
        hint=f"{' '.join(steps)} Or leave those names out.",
    )
