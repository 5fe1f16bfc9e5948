"""Profiles: where a server is, and how the caller authenticates.

They come from a `clouds.yaml`, from the `OS_*` variables, and from `calotype login`; `finding` says in which
order.
"""
