"""Tasks through the commands glance and openstack."""

from __future__ import annotations

import json

import pytest

from tests.clients.clients import Clients
from tests.support.v2 import RAW, fresh
from tests.support.waiting import wait_for
from tests.support.web import Web

BYTES = bytes(range(256)) * 40


def begin(clients: Clients, uri: str, name: str) -> str:
    """Create a task that makes an image with this name through glance, and return its id."""
    properties = {**RAW, "name": name}
    given = {"import_from": uri, "import_from_format": "raw", "image_properties": properties}
    printed = clients.glance("task-create", "--type", "import", "--input", json.dumps(given))
    (task_id,) = [line.split("|")[2].strip() for line in printed.splitlines() if line.startswith("| id ")]
    return task_id


def ended(clients: Clients, task_id: str) -> str:
    """Wait until the task has ended, and return the output of `glance task-show`."""
    return wait_for(
        lambda: clients.glance("task-show", task_id),
        lambda shown: " pending " not in shown and " processing " not in shown,
    )


@pytest.mark.campaign
def test_glance_makes_an_image_by_a_task(without_identities: Clients, web: Web) -> None:
    clients, name = without_identities, f"task {fresh()}"
    task_id = begin(clients, web.place(BYTES), name)

    assert " success " in ended(clients, task_id)
    found = ("task-list", "--type", "import", "--status", "success", "--sort-key", "id", "--sort-dir", "asc")
    assert task_id in clients.glance(*found)
    assert task_id not in clients.glance("task-list", "--status", "failure")
    assert name in clients.glance("image-list")


@pytest.mark.campaign
def test_glance_lists_tasks_over_many_pages_and_shows_why_one_failed(
    without_identities: Clients, web: Web
) -> None:
    clients = without_identities
    made = [begin(clients, f"http://127.0.0.1:{web.port}/nosuch", fresh()) for _ in range(3)]

    assert " failure " in ended(clients, made[-1])
    listed = clients.glance("task-list", "--page-size", "1")
    assert [task_id for task_id in made if task_id not in listed] == []
    refused = clients.glance("task-create", "--type", "import", "--input", '{"import_from": "x"}', fails=True)
    assert "import_from_format" in refused


@pytest.mark.campaign
def test_tasks_are_listed_through_openstackclient(without_identities: Clients, web: Web) -> None:
    clients = without_identities
    task_id = begin(clients, web.place(BYTES), fresh())
    ended(clients, task_id)

    listed = clients.shown("image", "task", "list", "--type", "import", "--sort-key", "created_at")
    assert task_id in [one["ID"] for one in listed]
    shown = clients.shown("image", "task", "show", task_id)
    assert (shown["status"], shown["type"], "image_id" in shown["result"]) == ("success", "import", True)


def test_a_member_cannot_see_tasks(with_tokens: Clients) -> None:
    assert "not allowed" in with_tokens.glance("task-list", fails=True)
