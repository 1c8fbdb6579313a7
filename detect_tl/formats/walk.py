"""Which files lie below a folder, without being led out of it by a link.

A data set from a stranger may hold links to whatever its maker hopes to find on your disk. Links
that lead out of the source are therefore not followed, and said, unless the user asks for them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from detect_tl.core.findings import Report


class Walk:
    """The files below `root` in a stable order, hidden files and folders left out.

    files: what was found. left: links that lead out of the source and were not followed.
    closed: folders that may not be opened. odd: what is no file at all, such as a pipe.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self.root = root
        self.files: list[Path] = []
        self.left: list[Path] = []
        self.closed: list[Path] = []
        self.odd: list[Path] = []
        self._follow = follow_links
        self._home = os.path.realpath(root)
        self._seen = {self._home}
        waiting = [str(root)]
        while waiting:
            waiting += reversed(self._open(waiting.pop()))

    def _open(self, folder: str) -> list[str]:
        """Take the files of a folder and give the folders in it."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.closed.append(Path(folder))
            return []
        visible = [entry for entry in found if not entry.name.startswith(".")]
        return [entry.path for entry in visible if self._is_folder(entry)]

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Whether to go into an entry; a file is taken."""
        if entry.is_symlink():
            return self._is_folder_to_follow(entry.path)
        if entry.is_dir():
            return True
        (self.files if entry.is_file() else self.odd).append(Path(entry.path))
        return False

    def _is_folder_to_follow(self, link: str) -> bool:
        """A link is followed to a file inside; a folder inside is read at its own place."""
        target = os.path.realpath(link)
        inside = target == self._home or target.startswith(self._home.rstrip(os.sep) + os.sep)
        if not inside and not self._follow:
            self.left.append(Path(link))
        elif Path(target).is_dir():
            new = not inside and target not in self._seen  # else links could lead in circles
            self._seen.add(target)
            return new
        else:  # a link that leads nowhere is told as a missing file
            there = Path(target).exists()
            (self.odd if there and not Path(target).is_file() else self.files).append(Path(link))
        return False

    def report(self, report: Report) -> None:
        """Say what was passed over."""
        if self.left:
            report.lost["links-out-of-the-source"] += len(self.left)
            text = (
                f"links that lead out of the folder are not followed: {_such(self.left, self.root)}"
            )
            report.add("source.link-out", "warning", f"{text} (--follow-links reads them)")
        if self.closed:
            report.lost["folders-unreadable"] += len(self.closed)
            text = f"folders that may not be opened: {_such(self.closed, self.root)}"
            report.add("source.closed", "error", text)
        if self.odd:
            text = f"neither files nor folders, left out: {_such(self.odd, self.root)}"
            report.add("source.odd-file", "info", text)


def _such(paths: Sequence[Path], root: Path) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0].relative_to(root).as_posix()}{more}"
