"""Every check has a test with its number, or a reason below why it has none."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]

#: Checks in other tests.
ELSEWHERE = {
    6: "tests/clients: every client lists images in every configuration",
    12: "tests/clients: the clients print errors",
    80: "tests/clients: the clients save images and notice corrupt ones",
    90: "tests/clients: glance makes and changes images by the schema",
    108: "tests/clients: Tempest",
    109: "tests/clients: what nova does with glanceclient",
    110: "tests/clients: what terraform does",
    111: "tests/clients: v1 is advertised beside v2",
    74: "tests/functional: uploads over 1 GiB are the server's matter, not a dialect's",
}

#: Parts of checks for which this service decided otherwise; the tests follow the decision.
DECIDED = {
    4: "/v2.99 and /v3 are 404: a path where nothing is, as any other",
    14: "a request id is always the server's own, for a client's would let it write into the log",
    21: "a property's name is printable ASCII without blanks, for it must go into a header in v1",
    27: "70 properties, not 128: Python's HTTP clients stop reading at 100 headers",
    28: "an emoji is text as any other",
    33: "no next page is promised where nothing follows",
    36: "a prefix that is no operator belongs to the name: openstack image show a:b finds it",
    58: "a format may be set again to what it is",
    65: "os_hash_algo is sha256",
    71: "after a limit, as after every failed upload, nothing is left",
    73: "raw that is a qcow2 is refused: a qcow2 that passes for raw reads other files",
    78: "a Range that is no range is passed over, as RFC 9110 has it; of several the first is answered",
    89: "there are no operator properties to be flagged",
    91: "there are always named stores",
    92: "usage tells what is limited here: bytes and images",
    97: "a name that leads nowhere fails in the task: it may lead somewhere by then",
    101: "a read-only store is as little there for uploads as an unknown one: 400",
    102: "stores have no weight",
    103: "locations never leave the service; there is no setting that would let them",
    104: "the cache is not offered: 404",
}


def test_every_check_has_a_test_or_a_reason() -> None:
    tested = {
        int(number)
        for path in (TESTS / "functional" / "v2").glob("test_*.py")
        for number in re.findall(r"^def test_(\d{3})_", path.read_text(), re.MULTILINE)
    }
    assert tested | set(ELSEWHERE) == set(range(1, 113))
    assert tested.isdisjoint(ELSEWHERE)
    assert set(DECIDED) <= tested
