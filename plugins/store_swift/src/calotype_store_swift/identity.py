"""The store's identity: one token for all connections, fetched when first needed and again after a 401."""

from __future__ import annotations

import requests
from keystoneauth1.exceptions import EndpointNotFound
from keystoneauth1.identity import BaseIdentityPlugin, v3
from keystoneauth1.session import Session
from swiftclient.authv1 import PasswordPlugin

from calotype_store_swift.options import SwiftOptions, text_of


class Identity:
    """A keystoneauth session with the methods that swiftclient expects of one."""

    def __init__(self, options: SwiftOptions):
        self._options = options
        self._verify = str(options.ca_bundle) if options.verify and options.ca_bundle else options.verify
        self._http = requests.Session()
        auth = _plugin(options)
        self._session = Session(auth, self._http, verify=self._verify, timeout=options.read_timeout)

    def get_endpoint(self, **_: object) -> str:
        """Return the storage URL, account included.

        Raises:
            EndpointNotFound: the catalogue has no endpoint for the region and interface of the options.
        """
        options = self._options
        url = options.endpoint or self._session.get_endpoint(
            service_type="object-store", interface=options.interface, region_name=options.region
        )
        if not url:
            raise EndpointNotFound()
        return url.rstrip("/")

    def get_token(self) -> str:
        """Return a token, kept until it is about to expire."""
        return self._session.get_token() or ""

    def invalidate(self) -> bool:
        """Forget the token, and return True, because another try is worthwhile.

        keystoneauth returns False to the second of two threads whose token was refused
        at the same time, and swiftclient would give up.
        """
        self._session.invalidate()
        return True

    def status_of(self, url: str) -> int:
        """Return the status of a HEAD of this URL."""
        options = self._options
        timeout = (options.connect_timeout, options.read_timeout)
        return self._http.head(url, timeout=timeout, verify=self._verify).status_code

    def close(self) -> None:
        """Close the connections to the identity service."""
        self._http.close()


def _plugin(options: SwiftOptions) -> BaseIdentityPlugin:
    if options.auth_version == "1":
        return PasswordPlugin(options.auth_url, options.user, text_of(options.key))
    url = options.auth_url.rstrip("/")
    url = url if url.endswith("/v3") else f"{url}/v3"
    if options.application_credential_id:
        return v3.ApplicationCredential(
            url,
            text_of(options.application_credential_secret),
            application_credential_id=options.application_credential_id,
        )
    return v3.Password(
        url,
        text_of(options.password),
        username=options.username,
        user_domain_name=options.user_domain_name,
        project_id=options.project_id,
        project_name=None if options.project_id else options.project_name,
        project_domain_name=None if options.project_id else options.project_domain_name,
    )
