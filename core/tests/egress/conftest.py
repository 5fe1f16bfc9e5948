"""Fixtures of the tests of outgoing fetches."""

import pytest

from tests.support.web import Web, reply


@pytest.fixture
def source():
    with Web({"/": reply(body=b"hello")}) as started:
        yield started


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")
