"""The one way out: every outgoing fetch of something that a client named.

A client's URL must not become a way into the network that the service stands in.
So every fetch, and every hop of a redirect, passes the same gate: one strict parse
of the URL, one resolution of its name, a check of every address that came of it,
and a connection to one of those very addresses, under the URL's name. Nothing is
looked up a second time, and nothing in the environment (proxies, netrc) is heard.
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
