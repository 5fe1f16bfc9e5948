"""Fixtures with which pages are compared: the application and its code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from pyramid.router import Router

from calotype.app import make_process
from tests.docs.sentences import read_trees


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """The application with every resource that settings can add. It does not serve."""
    folder = tmp_path_factory.mktemp("application")
    process = make_process(
        {},
        {
            "sqlalchemy.url": f"sqlite:///{folder}/calotype.sqlite",
            "calotype.migrate": "true",
            "calotype.metrics": "true",
            "calotype.stores": "file",
            "store.file.path": str(folder / "images"),
            "store.file.create": "true",
        },
    )
    yield process.router
    process.close()


@pytest.fixture(scope="session")
def nodes() -> list[ast.AST]:
    """All nodes of the syntax trees of the project's modules."""
    return [node for tree in read_trees() for node in ast.walk(tree)]
