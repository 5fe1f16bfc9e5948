"""Read a profile from variables: `CALOTYPE_URL`, and the `OS_*` variables of OpenStack's clients."""

from __future__ import annotations

from collections.abc import Mapping

from calotype_client.profiles.clouds import profile_of
from calotype_client.profiles.profile import Profile

#: Variables with options of the cloud itself; the other ones are options of the authentication.
_OF_THE_CLOUD = {
    "OS_AUTH_TYPE": "auth_type",
    "OS_REGION_NAME": "region_name",
    "OS_INTERFACE": "interface",
    "OS_ENDPOINT_TYPE": "interface",
    "OS_IMAGE_ENDPOINT_OVERRIDE": "image_endpoint_override",
    "OS_CACERT": "cacert",
    "OS_CERT": "cert",
    "OS_KEY": "key",
}
#: Other programs' variables, which are no options of a login.
_IGNORED = frozenset(
    {
        "OS_CLOUD",
        "OS_CLIENT_CONFIG_FILE",
        "OS_IMAGE_URL",
        "OS_AUTH_TOKEN",
        "OS_INSECURE",
        "OS_IMAGE_API_VERSION",
    }
    | {"OS_IDENTITY_API_VERSION", "OS_COMPUTE_API_VERSION", "OS_VOLUME_API_VERSION"}
)
_TRUE = ("1", "true", "yes", "on")


def profile_from(environ: Mapping[str, str]) -> Profile | None:
    """Return the profile that the variables describe, or None if they describe none; raises SettingsError."""
    token = environ.get("CALOTYPE_TOKEN")
    if url := environ.get("CALOTYPE_URL"):
        return profile_of("CALOTYPE_URL", _with_token(url, token, environ))
    if url := environ.get("OS_IMAGE_URL"):
        return profile_of("OS_IMAGE_URL", _with_token(url, environ.get("OS_AUTH_TOKEN"), environ))
    if not (environ.get("OS_AUTH_URL") or environ.get("OS_ENDPOINT")):
        return None
    kind = environ.get("OS_AUTH_TYPE", "password")
    auth = {
        name[3:].lower(): value
        for name, value in environ.items()
        if name.startswith("OS_") and value and name not in _OF_THE_CLOUD and name not in _IGNORED
    }
    return profile_of("OS_AUTH_URL", {**_cloud(environ), "auth_type": kind, "auth": auth})


def _with_token(url: str, token: str | None, environ: Mapping[str, str]) -> dict[str, object]:
    kind = "admin_token" if token else "none"
    cloud = {name: value for name, value in _cloud(environ).items() if name != "image_endpoint_override"}
    return {**cloud, "auth_type": kind, "auth": {"endpoint": url, "token": token}}


def _cloud(environ: Mapping[str, str]) -> dict[str, object]:
    cloud: dict[str, object] = {
        option: environ[name] for name, option in _OF_THE_CLOUD.items() if environ.get(name)
    }
    if environ.get("OS_INSECURE", "").lower() in _TRUE:
        cloud["verify"] = False
    return cloud
