"""The run folder of a training on a cluster, and whoever keeps it: an actor beside the driver.

Processes train on any machine in folders of their own; what the leading one has written after an
epoch is sent here and appears in the run folder, file by file whole. So nothing has to be on shared
storage, and whatever is lost with a machine, the folder can be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from detect_tl.core.files import atomic_path
from detect_tl.core.progress import Progress, Step
from detect_tl.scale.parcel import Manifest, Part, manifest_of, part_of

# What decides from where a resume goes on comes last, when all that it needs is there.
_LAST = "weights/resume.pt"

Event: TypeAlias = tuple[str, tuple[Any, ...]]


class Keeper:
    """Keeps one run folder, what is said on the way, and the first error; lends the data set.

    It does one thing after the other, in the order in which a process asks for it.
    """

    def __init__(self, run: Path, dataset: Path) -> None:
        self._run = run
        self._dataset = dataset
        self._manifest: Manifest | None = None
        self._attempt = 0
        self._failure: Exception | None = None
        self._events: list[Event] = []

    # -- the run folder ------------------------------------------------------------------------

    def begin(self, attempt: int) -> None:
        """From now on only what this attempt sends counts; others may not know yet that they are
        lost."""
        self._attempt = attempt

    def keep(self, attempt: int, files: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
        """Write files by their names in the run folder, and remove others."""
        if attempt != self._attempt:
            raise RuntimeError(f"attempt {attempt} is over")
        for name in sorted(files, key=lambda each: (each == _LAST, each)):
            with atomic_path(self._run / name) as scratch:
                scratch.write_bytes(files[name])
        for name in gone:
            (self._run / name).unlink(missing_ok=True)

    # -- the data set --------------------------------------------------------------------------

    def manifest(self) -> Manifest:
        """What belongs to the data set."""
        if self._manifest is None:
            self._manifest = manifest_of(self._dataset)
        return self._manifest

    def part(self, number: int) -> Part:
        """Some of its files, for a node that has none of them."""
        return part_of(self._dataset, self.manifest(), number)

    # -- what is said --------------------------------------------------------------------------

    def tell(self, attempt: int, kind: str, *values: Any) -> None:
        if attempt == self._attempt:
            self._events.append((kind, values))

    def told(self) -> list[Event]:
        """What was said since the last call."""
        said, self._events = self._events, []
        return said

    def fail(self, error: Exception) -> None:
        """Remember the first error that no repetition would mend."""
        self._failure = self._failure or error

    def failure(self) -> Exception | None:
        return self._failure


class Mirror:
    """Sends what has changed in the folder of the leading process."""

    def __init__(
        self, folder: Path, keeper: Any, attempt: int, places: Mapping[str, str] | None = None
    ) -> None:
        """folder: as it is now, the keeper knows it. places: settings of Ultralytics that name
        files and folders, as they are on the machine of the driver."""
        self._folder = folder
        self._keeper = keeper
        self._attempt = attempt
        self._places = places or {}
        self._known = self._state()

    def attach(self, trainer: Any) -> None:
        """Send the beginning, and every epoch."""
        trainer.places = self._places
        settings = self._folder / "args.yaml"  # Ultralytics has just written it
        values = {**yaml.safe_load(settings.read_text("utf-8")), **self._places}
        settings.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), "utf-8")
        trainer.add_callback("on_train_start", lambda _: self.send())
        trainer.add_callback("on_model_save", lambda _: self.send())

    def send(self) -> None:
        """Return when the keeper has written it."""
        import ray

        now = self._state()
        changed = [name for name, stamp in now.items() if self._known.get(name) != stamp]
        files = {name: (self._folder / name).read_bytes() for name in changed}
        ray.get(self._keeper.keep.remote(self._attempt, files, set(self._known) - set(now)))
        self._known = now

    def _state(self) -> dict[str, tuple[int, int]]:
        """When every file was changed, and its bytes."""
        found = {}
        for path in self._folder.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                stat = path.stat()
                found[path.relative_to(self._folder).as_posix()] = (stat.st_mtime_ns, stat.st_size)
        return found


class Distant:
    """Progress that is shown by the driver."""

    def __init__(self, keeper: Any, attempt: int) -> None:
        self._keeper = keeper
        self._attempt = attempt
        self._bars = 0

    def say(self, text: str) -> None:
        self._tell("say", text)

    @contextmanager
    def step(self, text: str, total: float | None = None) -> Any:
        self._bars += 1
        number = self._bars
        self._tell("open", number, text, total)
        try:
            yield _DistantStep(self._tell, number)
        finally:
            self._tell("close", number)

    def _tell(self, kind: str, *values: Any) -> None:
        self._keeper.tell.remote(self._attempt, kind, *values)  # nobody waits for it


class _DistantStep:
    def __init__(self, tell: Any, number: int) -> None:
        self._tell = tell
        self._number = number

    def advance(self, amount: float = 1) -> None:
        self._tell("advance", self._number, amount)

    def describe(self, text: str) -> None:
        self._tell("describe", self._number, text)


class Shown(AbstractContextManager["Shown"]):
    """Shows on this machine what a process elsewhere says of its progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[int, tuple[ExitStack, Step]] = {}

    def __exit__(self, *_: object) -> None:
        for number in list(self._bars):
            self._close(number)

    def show(self, events: Iterable[Event]) -> None:
        for kind, values in events:
            if kind == "say":
                self._progress.say(*values)
            elif kind == "open":
                number, text, total = values
                stack = ExitStack()
                bar = stack.enter_context(self._progress.step(text, total))
                self._bars[number] = (stack, bar)
            elif kind == "close":
                self._close(*values)
            else:
                number, value = values
                getattr(self._bars[number][1], kind)(value)

    def _close(self, number: int) -> None:
        stack, _ = self._bars.pop(number)
        stack.close()


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def content(run: Path) -> dict[str, bytes]:
    """What a run folder holds by name, without the data set that may lie in it."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.relative_to(run).parts[0] not in ("dataset", "tensorboard")
    }
