"""Parts of messages about settings and requests: the place of a mistake, the value, and a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

#: Maximum number of characters of a value in a message.
_SHOWN_MAX = 80
#: A user and a password in a URL. Without an @, the part after a colon counts as a password unless it is a
#: port number.
_USER_INFO = re.compile(r"//(?:\S*@|[^\s/:@\[]+:(?!\d*(?:/|\s|$))[^\s/]*)")
#: A user without a password, as in a URL of a database.
_USER = re.compile(r"//[\w.+-]+@", re.ASCII)
_SECTION = re.compile(r"\[([^]]+)\]")
_KEY = re.compile(r"([^\s#;=:][^=:]*?)\s*[=:]")
#: A command in a sentence, with the placeholder INI for the ini file.
_COMMAND = re.compile(r"(calotype-manage [a-z-]+(?: [a-z-]+)?) INI\b")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean X?)" for the most similar known word, ignoring case; "" if none is similar."""
    words = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    return f" (did you mean {words[near[0]]}?)" if near else ""


def not_one_of(problem: str, value: object, choices: Iterable[str]) -> str:
    """Return "PROBLEM: 'value'; one of: a, b.", the form of all messages about unknown values."""
    return f"{problem}: {quoted(str(value))}; one of: {', '.join(choices)}."


def quoted(value: str) -> str:
    """Return a value for a message: in quotes, on one line, and without the password of a URL.

    If the ini file refers to the environment or to a file, the message shows the reference, not the value.
    """
    text = without_password(getattr(value, "written", value))
    return repr(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "...")


def without_password(text: str) -> str:
    """Return the text with *** in place of users and passwords in URLs.

    A user without a password stays, except in http URLs, where it may be a token.
    """

    def mask(found: re.Match[str]) -> str:
        is_http = found.string[: found.start()].endswith(("http:", "https:"))
        if _USER.fullmatch(found[0]) and not is_http:
            return found[0]
        return "//***@" if found[0].endswith("@") else "//***"

    return _USER_INFO.sub(mask, text)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as "1 blob" or "2 blobs". `plural` is for nouns without -s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def located(ini: str | Path | None, *keys: str, section: str = "app") -> str:
    """Return "FILE, line N: " for the first of these keys in sections of this kind or in [DEFAULT].

    A key that ends with a dot stands for all keys that begin with it. Return "FILE: " if the file has none of
    them, and "" if `ini` is None.
    """
    if ini is None:
        return ""
    lines = _lines_of_keys(ini, section)
    for key in keys:
        for found, number in lines:
            if found == key or (key.endswith(".") and found.startswith(key)):
                return f"{ini}, line {number}: "
    return f"{ini}: "


def with_arguments(sentence: str, arguments: str | None) -> str:
    """Return the sentence, with INI in its commands replaced by `arguments`: an ini file and variables."""
    if not arguments:
        return sentence
    return _COMMAND.sub(lambda match: f"{match[1]} {arguments}", sentence)


def one_line(text: object) -> str:
    """Return an error's text on one line."""
    return " ".join(str(text).split())


def _lines_of_keys(ini: str | Path, section: str) -> list[tuple[str, int]]:
    """Return the keys of the sections of this kind, with their line numbers."""
    try:
        lines = Path(ini).read_text(errors="replace").splitlines()
    except OSError:
        return []
    found, counts = [], False
    for number, line in enumerate(lines, 1):
        if header := _SECTION.match(line):
            counts = header[1].strip().partition(":")[0] in (section, "DEFAULT")
        elif counts and (key := _KEY.match(line)):
            found.append((key[1], number))
    return found
