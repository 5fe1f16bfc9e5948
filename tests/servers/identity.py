"""Keystone's API, for its administrator's set-up and for tokens of users."""

import json
import urllib.request


class Admin:
    def __init__(self, url, password):
        """`url` ends in /v3."""
        self.url = url
        self.token = None
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": password}},
        }
        self.token, _ = self.call(
            "POST", "/auth/tokens", {"auth": {"identity": identity, "scope": {"system": {"all": True}}}}
        )

    def call(self, method, path, body=None):
        """Return the response's X-Subject-Token and its parsed JSON."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self.token:
            request.add_header("X-Auth-Token", self.token)
        with urllib.request.urlopen(request, timeout=30) as response:
            return (response.headers["X-Subject-Token"], json.loads(response.read() or "{}"))

    def ids(self, kind):
        """Return the ids of all objects of a kind, by name."""
        _, found = self.call("GET", f"/{kind}s")
        return {item["name"]: item["id"] for item in found[f"{kind}s"]}

    def make(self, kind, **values):
        _, made = self.call("POST", f"/{kind}s", {kind: values})
        return made[kind]["id"]

    def people(self, people, password):
        """Make users, each with this role in this project, and missing projects
        and roles. Return the ids of all projects, by name."""
        projects, roles = self.ids("project"), self.ids("role")
        for user, (project, role) in people.items():
            if project not in projects:
                projects[project] = self.make("project", name=project, domain_id="default")
            if role not in roles:
                roles[role] = self.make("role", name=role)
            made = self.make(
                "user",
                name=user,
                password=password,
                domain_id="default",
                default_project_id=projects[project],
            )
            self.call("PUT", f"/projects/{projects[project]}/users/{made}/roles/{roles[role]}")
        return projects

    def endpoint(self, name, kind, url, region="RegionOne"):
        """Put a service into the catalogue, or move it to another URL."""
        services = self.ids("service")
        if name in services:
            self.call("DELETE", f"/services/{services[name]}")
        _, known = self.call("GET", "/regions")
        if region not in {one["id"] for one in known["regions"]}:
            self.make("region", id=region)
        service = self.make("service", name=name, type=kind)
        for interface in ("public", "internal"):
            self.make("endpoint", service_id=service, interface=interface, url=url, region_id=region)


def token_of(keystone, user, scope=None):
    """Return a token of a user, scoped to the user's own project or with another scope."""
    project = dict(pair.split(":") for pair in keystone["KEYSTONE_USERS"].split(","))[user]
    domain = {"id": "default"}
    person = {"name": user, "domain": domain, "password": keystone["KEYSTONE_PASSWORD"]}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": person}},
            "scope": scope or {"project": {"name": project, "domain": domain}},
        }
    }
    request = urllib.request.Request(
        f"{keystone['KEYSTONE_URL']}/auth/tokens",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["X-Subject-Token"]


def revoke_token(keystone, token):
    """Revoke a token, as its user may."""
    request = urllib.request.Request(
        f"{keystone['KEYSTONE_URL']}/auth/tokens",
        method="DELETE",
        headers={"X-Auth-Token": token, "X-Subject-Token": token},
    )
    with urllib.request.urlopen(request, timeout=30):
        pass
