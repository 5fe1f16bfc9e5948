"""Kills of servers with tokens, with images in S3, and with a database over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.campaign import databases, surroundings
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import strike, walk
from tests.faults.campaign.phases import PHASES

SQLITE = Databases("sqlite")


@pytest.mark.campaign
def test_a_server_with_tokens_loses_nothing_when_it_is_killed(tmp_path: Path) -> None:
    """r1-H13"""
    with surroundings.running("tokens") as tokens:
        assert strike(SQLITE, tmp_path / "strike", 1, seed=1, surroundings=tokens).violations == []


@pytest.mark.campaign
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("name", ["S3", "S3 over TLS", "Ceph"])
def test_a_server_with_images_in_s3_loses_nothing_when_it_is_killed(name: str, tmp_path: Path) -> None:
    """r1-H13"""
    upload = next(phase for phase in PHASES if phase.name == "upload, chunked")
    with surroundings.running(name) as around:
        tally = walk(upload, SQLITE, tmp_path / "walk", 3, surroundings=around)
        assert tally.times > 0
        assert tally.violations == []
        assert strike(SQLITE, tmp_path / "strike", 1, seed=1, surroundings=around).violations == []


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_a_server_with_a_database_over_tls_loses_nothing_when_it_is_killed(name: str, tmp_path: Path) -> None:
    """r1-H13"""
    with databases.over_tls(name) as on:
        assert strike(on, tmp_path / "strike", 1, seed=1).violations == []
