"""Headers of the IETF's uploads: items of RFC 9651, of which other values are ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.api.http.problems import Problem
from calotype.api.http.request import Request
from calotype.api.http.resumption import read_complete, read_length, read_number
from calotype.model.fields import InvalidRequest
from calotype.transfers.readers import Announced

PARAMETERS = st.sampled_from(["", ";a", "; a=1", ";a=?0;b=token", '; a="x"'])


def asked(**headers):
    return Request.blank("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


@given(st.booleans(), PARAMETERS, st.sampled_from(["", " "]))
def test_a_boolean_may_have_parameters(value, parameters, blank):
    assert read_complete(asked(Upload_Complete=f"{blank}?{value:d}{parameters}{blank}")) is value


@pytest.mark.parametrize("text", ["", "1", "?", "?2", "?1, ?0", "?1 ?0", "true", "?1;", "?1;A=1", "?\xb9"])
def test_any_other_text_is_refused_as_a_boolean(text):
    """If it were ignored, a part would become the image."""
    with pytest.raises(InvalidRequest, match="must be"):
        read_complete(asked(Upload_Complete=text))


def test_a_request_without_the_headers_says_nothing():
    assert read_complete(asked()) is None
    assert read_number(asked(), "Upload-Length") is None


@given(st.integers(0, 10**15 - 1), PARAMETERS)
def test_an_integer_may_have_parameters(number, parameters):
    assert read_number(asked(Upload_Offset=f"{number}{parameters}"), "Upload-Offset") == number


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1, 2", "0x1", "1" * 16, "\xb2"])
def test_any_other_text_is_refused_as_an_offset(text):
    with pytest.raises(InvalidRequest, match="must be a number"):
        read_number(asked(Upload_Offset=text), "Upload-Offset")


@given(st.integers(0, 100), st.none() | st.integers(0, 100), st.none() | st.integers(0, 200), st.booleans())
def test_a_length_is_that_of_the_header_or_that_of_the_last_bytes(offset, content, declared, complete):
    headers = {"Upload_Complete": f"?{complete:d}"}
    if declared is not None:
        headers["Upload_Length"] = f"{declared}"
    end = None if content is None else offset + content
    clash = None not in (end, declared) and (end > declared or (complete and end != declared))

    def length():
        return read_length(asked(**headers), Announced(None, content), offset)

    if clash:
        with pytest.raises(Problem, match=f"{declared}.*{end}"):
            length()
    else:
        assert length() == (declared if declared is not None or not complete else end)
