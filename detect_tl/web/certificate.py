"""HTTPS. A browser shows its camera to pages of this machine, and to others over HTTPS only."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.errors import DataError

_HINT = "It takes PEM files, as Let's Encrypt or `openssl req -x509` write them."


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: a certificate with those that vouch for it, and its key.

    key: None where it is in the same file.
    """

    file: Path
    key: Path | None = None

    def check(self) -> None:
        """Raise DataError when a server could not use it."""
        key = self.key or self.file
        for path in (self.file, key):
            if not path.is_file():
                raise DataError("there is no such file", path=path, hint=_HINT)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.file, key, password=_no_password)
        except _ProtectedError as error:
            raise DataError(
                "the key is protected by a password, for which nobody is there to ask",
                path=key,
                hint=f"Write it without one: openssl pkey -in {key.name} -out plain.pem",
            ) from error
        except OSError as error:  # of OpenSSL too
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                text, path = "the key is not that of the certificate", key
            else:
                text, path = f"cannot be used: {_words(error)}", self.file
            raise DataError(text, path=path, hint=_HINT) from error


class _ProtectedError(Exception):
    """Raised where OpenSSL would ask for a password."""


def _no_password() -> str:
    raise _ProtectedError


def _words(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).replace("_", " ").lower()
