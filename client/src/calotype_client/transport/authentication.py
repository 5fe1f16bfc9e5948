"""How a caller authenticates: not at all, with a token, or with Keystone."""

from __future__ import annotations

from typing import Any, Protocol

from calotype_client.errors import NotAuthenticated, SettingsError, Unavailable
from calotype_client.profiles.profile import Profile, check_url


class Authentication(Protocol):
    """The endpoint of a server, and the headers that say who is calling."""

    def endpoint(self) -> str:
        """Return the base URL of the server, without a version."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers for a request."""
        ...

    def renew(self) -> bool:
        """Return True after the server refused the token if another try makes sense with a new one."""
        ...


class StaticToken:
    """A token that does not change, or none."""

    def __init__(self, endpoint: str, token: str | None):
        self._endpoint = endpoint
        self._headers = {"X-Auth-Token": token} if token else {}

    def endpoint(self) -> str:
        """Return the base URL of the server."""
        return self._endpoint

    def headers(self) -> dict[str, str]:
        """Return the token's header, or nothing."""
        return self._headers

    def renew(self) -> bool:
        """Return False: there is no other token."""
        return False


class Keystone:
    """Tokens and the endpoint from Keystone, by keystoneauth1, which is imported only here."""

    def __init__(self, profile: Profile):
        try:
            from keystoneauth1 import exceptions, loading, session
        except ImportError:
            raise SettingsError(
                f"The cloud {profile.name} needs Keystone.",
                advice="Install it with: pip install 'calotype-client[keystone]'",
            ) from None
        self._profile = profile
        self._errors = exceptions
        try:
            loader: Any = loading.get_plugin_loader(profile.auth_type)
            self._plugin: Any = loader.load_from_options(**_options(loader, profile))
        except (exceptions.NoMatchingPlugin, exceptions.OptionError, TypeError) as error:
            raise SettingsError(f"The cloud {profile.name} is incomplete: {error}") from None
        self._session = session.Session(
            auth=self._plugin,
            verify=(profile.ca_file or True) if profile.verify else False,
            cert=_certificate(profile),
            timeout=60,
        )

    def endpoint(self) -> str:
        """Return the endpoint of the profile, or that of the service `image` in the catalogue."""
        if self._profile.endpoint:
            return self._profile.endpoint
        found = self._ask(
            lambda: self._session.get_endpoint(
                service_type="image",
                interface=self._profile.interface,
                region_name=self._profile.region,
            )
        )
        if not found:
            raise SettingsError(
                f"The catalogue of {self._profile.name} has no image service.",
                advice="Check region_name and interface in clouds.yaml.",
            )
        return check_url(found)

    def headers(self) -> dict[str, str]:
        """Return the header with a token, which is fetched if there is none."""
        found: dict[str, str] = self._ask(lambda: self._session.get_auth_headers() or {})
        return found

    def renew(self) -> bool:
        """Drop the token, and return True if the plug-in can fetch another one."""
        return bool(self._session.invalidate())

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except self._errors.Unauthorized as error:
            raise NotAuthenticated(
                f"Keystone refused the login of {self._profile.name}: {error.message}",
                advice="Check the user, the password and the domains.",
            ) from None
        except (self._errors.ConnectionError, self._errors.RetriableConnectionFailure) as error:
            raise Unavailable(f"Keystone of {self._profile.name} cannot be reached: {error}") from None
        except self._errors.ClientException as error:
            raise NotAuthenticated(f"The login of {self._profile.name} failed: {error}") from None


def _certificate(profile: Profile) -> str | tuple[str, str] | None:
    """Return the file or the files of the client's certificate and its key."""
    if profile.cert_file and profile.key_file:
        return profile.cert_file, profile.key_file
    return profile.cert_file


def _options(loader: Any, profile: Profile) -> dict[str, str]:
    """Return the options that the plug-in has; others are ignored, as OpenStack's clients do."""
    known = {name for option in loader.get_options() for name in _names(option)}
    return {name: value for name, value in (profile.keystone or {}).items() if name in known}


def _names(option: Any) -> list[str]:
    return [option.dest, *(old.dest for old in option.deprecated)]


def authentication_of(profile: Profile) -> Authentication:
    """Return the authentication that the profile needs; raises SettingsError."""
    if profile.keystone is not None:
        return Keystone(profile)
    if profile.endpoint is None:
        raise SettingsError(f"The profile {profile.name} has no endpoint.")
    return StaticToken(profile.endpoint, profile.token)
