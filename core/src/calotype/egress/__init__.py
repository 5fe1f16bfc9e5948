"""Send requests to URLs that clients name. All such requests go through this package.

A client must not reach the service's own network by naming a URL. So every request, and every redirect,
passes the same check. The URL is parsed strictly, its name is resolved once, and every resolved address is
checked. The connection goes to one of these addresses, with the URL's name for TLS and the Host header. No
name is resolved a second time, and the environment (proxies, netrc) is ignored.
"""

from calotype.egress.answer import Answer
from calotype.egress.errors import BadAnswer, BadStatus, EgressError, Forbidden, Unreachable
from calotype.egress.fetch import Egress, Resolver, resolve
from calotype.egress.policy import EgressPolicy
from calotype.egress.targets import URL_MAX, Address, Network, Target, is_own, is_public, parse

__all__ = [
    "Egress",
    "EgressPolicy",
    "Answer",
    "EgressError",
    "Forbidden",
    "Unreachable",
    "BadAnswer",
    "BadStatus",
    "Address",
    "Network",
    "Target",
    "Resolver",
    "parse",
    "resolve",
    "URL_MAX",
    "is_public",
    "is_own",
]
