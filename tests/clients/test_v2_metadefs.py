"""Metadata definitions through the commands openstack and glance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.clients import Clients
from tests.support.v2 import fresh

TYPE = "OS::Glance::Image"
SCHEMA = json.dumps({"description": "How many.", "minimum": 1})


@pytest.mark.campaign
def test_openstackclient_manages_definitions(without_identities: Clients) -> None:
    openstack, shown = without_identities.openstack, without_identities.shown
    name = f"OSC::{fresh()}"
    metadef = ("image", "metadef")
    create = (*metadef, "namespace", "create", "--display-name", "CPU", "--public", name)
    assert shown(*create)["visibility"] == "public"
    openstack(*metadef, "namespace", "set", "--public", "--description", "Processors", "--tag", "fast", name)
    assert shown(*metadef, "namespace", "show", name)["description"] == "Processors"
    assert name in [one["namespace"] for one in shown(*metadef, "namespace", "list")]
    assert TYPE in [one["Name"] for one in shown(*metadef, "resource", "type", "list")]

    association = (*metadef, "resource", "type", "association")
    shown(*association, "create", name, TYPE)
    assert [one["Name"] for one in shown(*association, "list", name)] == [TYPE]

    cores = ("--name", "cores", "--title", "Cores", "--type", "integer", "--schema", SCHEMA)
    assert shown(*metadef, "property", "create", *cores, name)["title"] == "Cores"
    openstack(*metadef, "property", "set", "--title", "All cores", name, "cores")
    now = shown(*metadef, "property", "show", name, "cores")
    assert (now["title"], now["minimum"], now["description"]) == ("All cores", 1, "How many.")
    assert [one["name"] for one in shown(*metadef, "property", "list", name)] == ["cores"]

    shown(*metadef, "object", "create", "--namespace", name, "limits")
    openstack(*metadef, "object", "update", "--name", "bounds", name, "limits")
    assert [one["name"] for one in shown(*metadef, "object", "list", name)] == ["bounds"]
    assert shown(*metadef, "object", "show", name, "bounds")["name"] == "bounds"
    openstack(*metadef, "object", "delete", name, "bounds")

    openstack(*metadef, "property", "delete", name, "cores")
    openstack(*association, "delete", name, TYPE)
    openstack(*metadef, "namespace", "unset", "--all-tags", name)
    openstack(*metadef, "namespace", "delete", name)
    assert name not in [one["namespace"] for one in shown(*metadef, "namespace", "list")]


@pytest.mark.campaign
def test_glance_manages_definitions(without_identities: Clients, tmp_path: Path) -> None:
    glance, made = without_identities.glance, without_identities.made
    name = f"Glance::{fresh()}"
    whole = {
        "namespace": name,
        "description": "Processors.",
        "visibility": "public",
        "resource_type_associations": [{"name": TYPE, "prefix": "hw_"}],
        "properties": {"cores": {"title": "Cores", "type": "integer"}},
        "objects": [{"name": "limits", "properties": {"quota": {"title": "Quota", "type": "integer"}}}],
        "tags": [{"name": "fast"}],
    }
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    assert made("md-namespace-import", "--file", tmp_path / "whole.json")["visibility"] == "public"
    assert name in glance("md-namespace-list")
    assert name in glance("md-namespace-list", "--resource-types", TYPE, "--page-size", "1")
    assert "hw_cores" in made("md-namespace-show", "--resource-type", TYPE, name)["properties"]
    updated = made("md-namespace-update", "--display-name", "CPU", "--protected", "True", name)
    assert (updated["display_name"], updated["description"]) == ("CPU", "Processors.")
    assert "protected" in glance("md-namespace-delete", name, fails=True)
    made("md-namespace-update", "--protected", "False", name)

    assert TYPE in glance("md-resource-type-list")
    assert "hw_" in glance("md-namespace-resource-type-list", name)
    made("md-resource-type-associate", "--name", "OS::Nova::Flavor", "--prefix", "hw:", name)
    glance("md-resource-type-deassociate", name, "OS::Nova::Flavor")

    made(
        "md-property-create",
        "--name",
        "ram",
        "--title",
        "Memory",
        "--type",
        "integer",
        "--schema",
        SCHEMA,
        name,
    )
    assert made("md-property-update", "--title", "RAM", name, "ram")["title"] == "RAM"
    assert "ram" in glance("md-property-list", name)
    glance("md-property-delete", name, "ram")

    made("md-object-create", "--name", "cpu", "--schema", '{"description": "x"}', name)
    assert made("md-object-update", "--name", "processor", name, "cpu")["name"] == "processor"
    assert made("md-object-show", name, "processor")["description"] == "x"
    assert made("md-object-property-show", name, "limits", "quota")["title"] == "Quota"
    assert "processor" in glance("md-object-list", name)
    glance("md-object-delete", name, "processor")

    assert "slow" in glance("md-tag-create-multiple", "--names", "slow,green", name)
    assert made("md-tag-create", "--name", "red", name)["name"] == "red"
    assert made("md-tag-update", "--name", "blue", name, "red")["name"] == "blue"
    tags = glance("md-tag-list", name)
    assert all(tag in tags for tag in ("slow", "green", "blue"))
    glance("md-tag-delete", name, "blue")
    for words in (
        "md-namespace-tags-delete",
        "md-namespace-objects-delete",
        "md-namespace-properties-delete",
    ):
        glance(words, name)
    glance("md-namespace-delete", name)
    assert name not in glance("md-namespace-list")
