"""Rights and limits also apply under `python -O`, which removes asserts (G-24)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.people import Guarded
from tests.support.server import OCTETS, ROOT, meta

MIB = 1 << 20
JSON = {"Content-Type": "application/json"}


@pytest.fixture(
    scope="module", params=["1", pytest.param("2", marks=pytest.mark.campaign)], ids=["-O", "-OO"]
)
def optimised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server without asserts, with low limits."""
    limits = {
        "calotype.image_size_cap": str(MIB),
        "calotype.project_bytes": str(2 * MIB),
        "calotype.max_properties": "3",
    }
    folder = tmp_path_factory.mktemp("optimised")
    started = Guarded(folder, limits, env={"PYTHONOPTIMIZE": request.param}, level="WARNING")
    yield started
    started.stop()


def test_g_24_rights_hold_without_asserts(optimised: Guarded) -> None:
    image = optimised.victim.upload(b"bytes", protected="True")
    public = optimised.admin.upload(b"public", is_public="True")["id"]
    for dialect in ("/images", "/v1/images", "/v2/images"):
        path = f"{dialect}/{image['id']}"
        assert optimised.anonymous.get(path).status == 401
        assert [optimised.attacker.ask(method, path).status for method in ("GET", "DELETE")] == [404, 404]
        assert optimised.attacker.delete(f"{dialect}/{public}").status == 403
        assert optimised.victim.delete(path).status == 403
        assert (
            optimised.reader.ask("POST", dialect, {"Content-Type": "application/json"}, b"{}").status == 403
        )
        assert optimised.attacker.ask("PATCH", dialect).status == 405
    assert optimised.attacker.ask("POST", "/v1/images", meta(is_public="True")).status == 403
    assert optimised.victim.get(f"/v1/images/{image['id']}").body == b"bytes"


def test_g_24_limits_hold_without_asserts(optimised: Guarded) -> None:
    many = {f"property_p{number}": "v" for number in range(4)}
    assert optimised.attacker.ask("POST", "/v1/images", meta(**many)).status == 413
    assert optimised.attacker.try_upload(bytes(MIB + 1)).status == 413
    assert optimised.attacker.try_upload(iter([bytes(MIB), b"x"])).status == 413
    assert [optimised.attacker.try_upload(bytes(MIB)).status for _ in range(3)] == [201, 201, 413]
    backed = b"QFI\xfb\0\0\0\3" + (104).to_bytes(8, "big") + bytes(600)
    assert optimised.friend.try_upload(backed, disk_format="qcow2").status == 415
    assert optimised.friend.ask("POST", "/images", {**OCTETS, **meta(size="7")}, b"bytes").status == 400


def test_g_24_no_check_of_ours_is_an_assert() -> None:
    sources = [*ROOT.glob("*/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    found = [
        (str(path.relative_to(ROOT)), node.lineno)
        for path in sources
        if not is_test_kit(path)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def is_test_kit(path: Path) -> bool:
    return "testing" in path.parts
