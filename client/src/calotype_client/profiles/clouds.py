"""Read clouds.yaml, as OpenStack's tools have it. The remotes of `calotype login` are written alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calotype_client.errors import SettingsError
from calotype_client.profiles.folders import config_folder
from calotype_client.profiles.profile import Profile, check_url

#: Plug-ins whose token is known, so that Keystone is not asked.
_TOKEN_TYPES = ("admin_token", "token_endpoint")
_FALSE = (False, "false", "False", "no", "0", 0)


def read_clouds(path: Path) -> dict[str, dict[str, Any]]:
    """Return the clouds of a file by name, with what secure.yaml beside it adds.

    Raises:
        SettingsError: the file cannot be read, or is no such file.
    """
    clouds = _clouds_of(path)
    secure = path.with_name("secure.yaml")
    if secure.is_file():
        for name, added in _clouds_of(secure).items():
            if name in clouds:
                clouds[name] = _merged(clouds[name], added)
    return clouds


def _clouds_of(path: Path) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise SettingsError(f"{path} cannot be read: {said}") from None
    clouds = (document or {}).get("clouds") if isinstance(document or {}, dict) else None
    if clouds is None and not document:
        return {}
    if not isinstance(clouds, dict) or not all(isinstance(cloud, dict) for cloud in clouds.values()):
        raise SettingsError(f"{path} has no mapping `clouds` of names to clouds.")
    return {str(name): cloud for name, cloud in clouds.items()}


def _merged(cloud: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    both = cloud.keys() & added.keys()
    deep = {
        name: _merged(cloud[name], added[name])
        for name in both
        if isinstance(cloud[name], dict) and isinstance(added[name], dict)
    }
    return {**cloud, **added, **deep}


def cloud_files(environ: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Yield the files that may be the user's clouds.yaml, the first one that exists counts."""
    if named := environ.get("OS_CLIENT_CONFIG_FILE"):
        yield Path(named)
        return
    for place in (folder, config_folder(environ) / "openstack", Path("/etc/openstack")):
        for suffix in ("yaml", "yml"):
            yield place / f"clouds.{suffix}"


def profile_of(name: str, cloud: Mapping[str, Any]) -> Profile:
    """Return the profile of a cloud; raises SettingsError."""
    auth = cloud.get("auth") or {}
    if not isinstance(auth, dict):
        raise SettingsError(f"The cloud {name} has an `auth` that is not a mapping.")
    kind = str(cloud.get("auth_type") or "password")
    endpoint = cloud.get("image_endpoint_override") or auth.get("endpoint")
    is_static = kind == "none" or kind in _TOKEN_TYPES
    if is_static and not endpoint:
        raise SettingsError(f"The cloud {name} needs auth.endpoint, because its auth_type is {kind}.")
    if not is_static and not auth.get("auth_url"):
        raise SettingsError(f"The cloud {name} has no auth.auth_url, so the client cannot log in.")
    return Profile(
        name=name,
        endpoint=check_url(str(endpoint)) if endpoint else None,
        token=str(auth["token"]) if kind in _TOKEN_TYPES and auth.get("token") else None,
        auth_type=kind,
        keystone=None if is_static else {key: value for key, value in auth.items() if key != "endpoint"},
        region=cloud.get("region_name") or None,
        interface=str(cloud.get("interface") or "public"),
        verify=cloud.get("verify", True) not in _FALSE,
        ca_file=_path(cloud.get("cacert")),
        cert_file=_path(cloud.get("cert")),
        key_file=_path(cloud.get("key")),
    )


def _path(text: object) -> str | None:
    return str(Path(str(text)).expanduser()) if text else None
