"""Static tokens: a file that holds the hash of each token, with its user, project and roles.

A token is `ID.SECRET`. The secret has 256 random bits, so one round of SHA-256 is enough: nobody can guess
a secret from its hash. The file is read again whenever it has changed, without a restart. Each change writes
a new file and renames it. A new file is readable by its owner only. If the file existed before, it keeps its
owner, group and mode.
If the file does not exist, there are no tokens. If it is damaged, no caller can be identified.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from calotype.config import private_files
from calotype.config.settings import Settings
from calotype.model.audit import Origin
from calotype.model.policy import Caller

_TOKEN = re.compile(r"([0-9a-f]{12})\.([A-Za-z0-9_-]{43})", re.ASCII)

#: Our own messages by pydantic's type of problem, because pydantic's name types that operators do not know.
_PROBLEMS = {
    "list_type": "line 1: the file must hold a list of tokens, from [ to ]",
    "model_type": "must be an object, from { to }",
    "missing": "must be set",
    "extra_forbidden": "is not a key of a token",
    "string_type": "must be a text in quotes",
}


class TokensUnreadable(Exception):
    """The file of tokens cannot be read, or is damaged."""


class TokensNotWritten(Exception):
    """The file of tokens cannot be changed, so its contents stay the same."""


class Token(BaseModel):
    """The entry of one token in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    sha256: str
    user: str
    project: str | None = None
    roles: tuple[str, ...] = ()
    expires: AwareDatetime | None = None

    @property
    def caller(self) -> Caller:
        """The caller that the token identifies."""
        roles = frozenset(role.lower() for role in self.roles)
        return Caller(self.user, self.project, roles, expires=self.expires, origin=Origin(token_id=self.id))

    def expired(self, now: datetime.datetime) -> bool:
        """Return whether the token has expired."""
        return self.expires is not None and now >= self.expires


_ENTRIES = TypeAdapter(list[Token])


class TokenFile:
    """The tokens in one file. All threads share an instance."""

    def __init__(self, path: Path):
        self.path = path
        self._state: tuple[int, ...] | None = None
        self._tokens: dict[str, Token] = {}

    def caller(self, text: str) -> Caller | None:
        """Return the caller that a token identifies, or None if the token is unknown, revoked or expired.

        Raises:
            TokensUnreadable: the file is damaged or cannot be read.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            return None
        entry = self._read().get(match[1])
        given = hashlib.sha256(match[2].encode()).hexdigest()
        # An unknown id costs the same comparison as a known one.
        known = hmac.compare_digest(given, entry.sha256 if entry is not None else "0" * 64)
        if entry is None or not known or entry.expired(datetime.datetime.now(datetime.UTC)):
            return None
        return entry.caller

    def entries(self) -> list[Token]:
        """Return the entries of the file."""
        return list(self._read().values())

    def add(
        self, user: str, project: str | None, roles: tuple[str, ...], expires: datetime.datetime | None = None
    ) -> str:
        """Add a new token and return its text, which is not stored anywhere.

        Raises:
            TokensUnreadable: the file is damaged.
            TokensNotWritten: the file cannot be changed.
        """
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        entry = Token(
            id=token_id,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            user=user,
            project=project,
            roles=roles,
            expires=expires,
        )
        with self._alone():
            self._write([*self.entries(), entry])
        return f"{token_id}.{secret}"

    def revoke(self, token_id: str) -> bool:
        """Remove the token with this id, and return whether there was one.

        Raises:
            TokensUnreadable: the file is damaged.
            TokensNotWritten: the file cannot be changed.
        """
        with self._alone():
            before = self.entries()
            kept = [entry for entry in before if entry.id != token_id]
            if len(kept) < len(before):
                self._write(kept)
        return len(kept) < len(before)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the file for the block, so that two commands cannot overwrite each other's changes.

        The lock file is next to the resolved file, because two commands may name different links to it.
        """
        try:
            file = self.path.resolve()
            private_files.make_directory(file.parent)
            lock = private_files.open_or_create(file.with_name(f".{file.name}.lock"), private_files.SECRET)
        except OSError as error:
            is_refused = isinstance(error, PermissionError)
            cure = ": run this as the service's user, or as root" if is_refused else ""
            raise TokensNotWritten(
                f"the file of tokens {self.path} cannot be locked: {error.strerror}{cure}"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> dict[str, Token]:
        try:
            stat = self.path.stat()
            state = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if state != self._state:
                entries = _ENTRIES.validate_json(self.path.read_bytes())
                self._tokens, self._state = {entry.id: entry for entry in entries}, state
        except FileNotFoundError:
            self._tokens, self._state = {}, None
        except OSError as error:
            raise TokensUnreadable(
                f"the file of tokens {self.path} cannot be read: {_refusal(self.path, error)}"
            ) from error
        except ValidationError as error:
            raise TokensUnreadable(
                f"the file of tokens {self.path} is damaged: {_mistake(error)}. Correct it, restore it from "
                "a backup, or remove it and create new tokens with `calotype-manage token add INI`"
            ) from None
        return self._tokens

    def _write(self, entries: list[Token]) -> None:
        # If the path is a link, replace the file that it points to, not the link.
        file = self.path.resolve()
        try:
            private_files.rewrite(file, _ENTRIES.dump_json(entries, indent=1))
        except (OSError, private_files.OwnerNotKept) as error:
            raise TokensNotWritten(f"the file of tokens {self.path} cannot be written: {error}") from error


def find_missing_tokens(settings: Settings) -> list[str]:
    """Return a list with a warning if callers need a token and the file has no valid one; otherwise [].

    Raises:
        TokensUnreadable: the file is damaged.
    """
    if settings.identity != "tokens":
        return []
    path = settings.tokens_path()
    entries = TokenFile(path).entries()
    now = datetime.datetime.now(datetime.UTC)
    if not all(entry.expired(now) for entry in entries):
        return []
    state = "has only expired tokens" if entries else "has no token" if path.exists() else "does not exist"
    return [
        f"the file of tokens {path} {state}, so every request that needs a token is refused: to create one, "
        f"run `calotype-manage token add {settings.arguments or 'INI'} --user NAME --project NAME`"
    ]


def _refusal(path: Path, error: OSError) -> str:
    """Return why the file cannot be read, and what to do about it."""
    if isinstance(error, PermissionError):
        return private_files.refused_access(path, "read")
    return f"{error.strerror}: correct calotype.tokens_file or data_dir"


def _mistake(error: ValidationError) -> str:
    """Return the first mistake in the file and its place, without the values, which may be secret."""
    problem = error.errors(include_url=False, include_input=False)[0]
    message = _PROBLEMS.get(problem["type"]) or problem["msg"][:1].lower() + problem["msg"][1:]
    if not problem["loc"]:
        return message  # a message about invalid JSON names the line and the column
    number, *field = problem["loc"]
    entry = f"token {number + 1}" if isinstance(number, int) else str(number)
    return f"{entry}, {'.'.join(map(str, field)) or 'the whole entry'}: {message}"
