"""A profile: a server, the caller's credentials, and what to check of the server's certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from calotype_client.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A server with credentials. Secrets are not shown by repr.

    `endpoint` may be absent if Keystone's catalogue has it. `keystone` has the options of keystoneauth1's
    plug-in `auth_type`; if it is None, the caller has the token, or is unknown to the server.
    """

    name: str
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    auth_type: str = "none"
    keystone: Mapping[str, str] | None = field(default=None, repr=False)
    region: str | None = None
    interface: str = "public"
    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def check_url(url: str) -> str:
    """Return the URL of a server without a version and a slash at the end; raises SettingsError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise SettingsError(
            f"This is not the URL of a server: {url!r}.",
            advice="A URL begins with http:// or https://, such as http://127.0.0.1:9292.",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(
            "The URL of a server has no user, password, query or fragment.",
            advice="Give a token to `calotype login URL`, which asks for it.",
        )
    base = url.rstrip("/")
    head, _, last = base.rpartition("/")
    is_version = last[:1] == "v" and last[1:].replace(".", "", 1).isdigit()
    return head.rstrip("/") if is_version else base
