"""Several people's accounts of one image, as labelling platforms keep them; one is taken.

They are never united: two people draw the same object twice, and not in the same place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.geometry import Size
from detect_tl.formats.gather import Gatherer


@dataclass(frozen=True, slots=True)
class Account:
    """What one person said of an image.

    records: of its objects, as the file has them. skipped: the person refused to label it.
    size: of the image, as far as it is told. trusted: the platform holds it for the truth.
    updated: a time, as text that sorts.
    """

    records: Sequence[Any]
    size: Size | None = None
    skipped: bool = False
    trusted: bool = False
    updated: str = ""


def chosen(accounts: Sequence[Account]) -> Account | None:
    """The account to be taken: of those that are not skipped, one that is trusted, else any; of
    several, the one that was updated last. None when there is none."""
    made = [account for account in accounts if not account.skipped]
    return max(made, key=lambda account: (account.trusted, account.updated), default=None)


@dataclass(slots=True)
class _Image:
    """path: the file that named it first. names: what it calls the image."""

    path: Path
    names: Sequence[str]
    accounts: list[Account]


class AccountsByImage:
    """Collects accounts from all files, by the image that they are about.

    tool: of the platform, for the codes of findings ("label-studio").
    """

    def __init__(self, gather: Gatherer, tool: str) -> None:
        self._gather = gather
        self._tool = tool
        self._images: dict[object, _Image] = {}

    def add(self, path: Path, names: Sequence[str], accounts: Sequence[Account]) -> None:
        """Keep what a file says of an image; names: at least one."""
        found = self._gather.source.images.find(names, near=near(path)).path
        key = found or (path.parent, names[0])
        image = self._images.setdefault(key, _Image(path, names, []))
        for account in accounts:
            if account in image.accounts:
                self._gather.report.changed["repeated-annotations-merged"] += 1
            else:
                image.accounts.append(account)

    def chosen(self) -> Iterator[tuple[Path, Sequence[str], Account]]:
        """Every image with the account to be taken, and what that leaves out, reported."""
        idle: Counter[str] = Counter()
        for image in self._images.values():
            account = chosen(image.accounts)
            if account is None:
                idle["images-skipped" if image.accounts else "images-not-annotated"] += 1
                continue
            self._say_others(image, account)
            yield image.path, image.names, account
        for count, number in idle.items():
            self._gather.report.lost[count] += number
            how = "skipped by who was to label them" if "skipped" in count else "not annotated yet"
            text = f"{number} images are {how}; left out"
            self._gather.report.add(f"{self._tool}.{count}", "warning", text)

    def _say_others(self, image: _Image, account: Account) -> None:
        made = sum(not a.skipped for a in image.accounts)
        if made == 1:
            return
        self._gather.report.lost["annotations-of-others"] += made - 1
        taken = "the trusted one" if account.trusted else "the one updated last"
        when = f", of {account.updated}" if account.updated else ""
        text = f"{image.names[0]!r} is annotated {made} times; {taken}{when}, is taken"
        code = f"{self._tool}.several-annotations"
        self._gather.report.add(code, "warning", text, image.path)


def near(path: Path) -> list[Path]:
    """Where a relative name in an export may start: our own writer's at the folder above."""
    return [path.parent.parent, path.parent, path.parent / "images"]
