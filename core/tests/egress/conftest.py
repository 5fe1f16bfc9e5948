"""Fixtures of the tests of outgoing fetches."""

import pytest

from core.tests.egress.sources import Source, answer


@pytest.fixture
def source():
    with Source({"/": answer(body=b"hello")}) as started:
        yield started


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")
