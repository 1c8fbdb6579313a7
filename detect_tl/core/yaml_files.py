"""YAML that people write: read without running anything, and errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import DataError

if TYPE_CHECKING:
    import yaml  # a command's help must not load it


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; raise DataError when it cannot be read or is broken."""
    import yaml

    try:
        return yaml.safe_load(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except yaml.YAMLError as error:
        raise broken_yaml(error, path) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"broken YAML: {error}", path=path) from error


def broken_yaml(error: yaml.YAMLError, path: Path) -> DataError:
    """What to raise for a file that is not well-formed."""
    mark = getattr(error, "problem_mark", None)
    return DataError(
        f"broken YAML: {getattr(error, 'problem', None) or error}",
        path=path,
        line=mark.line + 1 if mark else None,
        hint="Look at the indentation and the quotes around that line.",
    )
