"""Profiles from clouds.yaml, from variables, and from logins."""

from __future__ import annotations

from pathlib import Path

import pytest

from calotype_client.errors import SettingsError
from calotype_client.profiles.finding import find_profile, profile_names
from calotype_client.profiles.profile import check_url
from calotype_client.profiles.remotes import Remotes

CLOUDS = """
clouds:
  lab:
    auth_type: none
    auth: {endpoint: http://lab:9292/v2}
  keyed:
    auth_type: admin_token
    auth: {endpoint: "https://keyed", token: t0ken}
    verify: false
  big:
    region_name: north
    interface: internal
    cacert: ~/ca.pem
    auth: {auth_url: "https://keystone/v3", username: u, project_name: p}
"""
SECURE = "clouds: {big: {auth: {password: secret}}}"


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home without settings."""
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path)}


@pytest.fixture
def clouds(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A home with three clouds."""
    folder = tmp_path / ".config" / "openstack"
    folder.mkdir(parents=True)
    (folder / "clouds.yaml").write_text(CLOUDS)
    (folder / "secure.yaml").write_text(SECURE)
    return environ


def test_a_cloud_without_authentication_has_only_an_endpoint(clouds: dict[str, str]) -> None:
    profile = find_profile(clouds, "lab")

    assert (profile.endpoint, profile.token, profile.keystone) == ("http://lab:9292", None, None)


def test_a_cloud_with_a_token_has_it_and_does_not_show_it(clouds: dict[str, str]) -> None:
    profile = find_profile({**clouds, "OS_CLOUD": "keyed"})

    assert (profile.token, profile.verify) == ("t0ken", False)
    assert "t0ken" not in repr(profile)


def test_a_cloud_with_keystone_gets_its_password_from_secure_yaml(clouds: dict[str, str]) -> None:
    profile = find_profile(clouds, "big")

    assert profile.keystone == {
        "auth_url": "https://keystone/v3",
        "username": "u",
        "project_name": "p",
        "password": "secret",
    }
    assert (profile.endpoint, profile.region, profile.interface) == (None, "north", "internal")
    assert profile.ca_file == str(Path("~/ca.pem").expanduser())


def test_a_file_in_the_current_folder_comes_first(clouds: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text(
        "clouds: {here: {auth_type: none, auth: {endpoint: 'http://here'}}}"
    )

    assert profile_names(clouds) == ["here"]
    assert find_profile(clouds).endpoint == "http://here"


def test_the_variables_of_openstack_describe_a_login(environ: dict[str, str]) -> None:
    variables = {
        "OS_AUTH_URL": "http://k/v3",
        "OS_USERNAME": "u",
        "OS_PASSWORD": "p",
        "OS_REGION_NAME": "r",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_CACERT": "/ca.pem",
    }
    profile = find_profile({**environ, **variables})

    assert profile.keystone == {"auth_url": "http://k/v3", "username": "u", "password": "p"}
    assert (profile.region, profile.ca_file) == ("r", "/ca.pem")


@pytest.mark.parametrize(
    ("variables", "endpoint", "token"),
    [
        ({"CALOTYPE_URL": "http://c/", "CALOTYPE_TOKEN": "t", "OS_CLOUD": "lab"}, "http://c", "t"),
        ({"OS_IMAGE_URL": "http://c/v2.0", "OS_AUTH_TOKEN": "t"}, "http://c", "t"),
        ({"OS_AUTH_TYPE": "none", "OS_ENDPOINT": "http://c:9292"}, "http://c:9292", None),
        (
            {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": "http://c/image", "OS_TOKEN": "t"},
            "http://c/image",
            "t",
        ),
    ],
)
def test_variables_name_a_server(
    clouds: dict[str, str], variables: dict[str, str], endpoint: str, token: str | None
) -> None:
    profile = find_profile({**clouds, **variables})

    assert (profile.endpoint, profile.token) == (endpoint, token)


def test_the_newest_login_is_the_default(environ: dict[str, str]) -> None:
    remotes = Remotes(environ)
    for name in ("one", "two", "one"):
        remotes.add(name, {"auth_type": "none", "auth": {"endpoint": f"http://{name}"}})

    assert find_profile(environ).endpoint == "http://one"
    assert find_profile(environ, "two").endpoint == "http://two"
    remotes.remove("one")
    assert find_profile(environ).endpoint == "http://two"


def test_only_the_user_can_read_the_logins(environ: dict[str, str]) -> None:
    remotes = Remotes(environ)
    remotes.add("lab", {"auth_type": "admin_token", "auth": {"endpoint": "http://lab", "token": "t"}})

    assert remotes.path.stat().st_mode & 0o777 == 0o600
    assert remotes.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in remotes.path.parent.iterdir()] == ["remotes.yaml"]


@pytest.mark.parametrize("name", ["", "a:b", "../x", "-x", "a b", "x" * 64])
def test_a_remote_has_a_plain_name(environ: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be the name"):
        Remotes(environ).add(name, {})


def test_no_settings_at_all_are_explained(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="No server is set") as caught:
        find_profile(environ)
    assert "calotype login" in str(caught.value.advice)


def test_several_clouds_without_a_choice_are_listed(clouds: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        find_profile(clouds)
    assert "lab, keyed, big" in str(caught.value.advice)


def test_a_misspelt_cloud_gets_a_suggestion(clouds: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="Did you mean keyed"):
        find_profile(clouds, "keyd")


@pytest.mark.parametrize(
    "text",
    ["clouds: [a]", "just words", "{unclosed", "clouds: {a: 1}", "\x00", "- clouds"],
)
def test_a_broken_file_is_named(environ: dict[str, str], tmp_path: Path, text: str) -> None:
    (tmp_path / "clouds.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"clouds\.yaml"):
        find_profile(environ, "a")


@pytest.mark.parametrize(
    "cloud",
    [
        "{auth_type: none}",
        "{auth: {username: u}}",
        "{auth: word}",
        "{auth_type: none, auth: {endpoint: word}}",
    ],
)
def test_an_incomplete_cloud_is_explained(environ: dict[str, str], tmp_path: Path, cloud: str) -> None:
    (tmp_path / "clouds.yaml").write_text(f"clouds: {{a: {cloud}}}")
    with pytest.raises(SettingsError):
        find_profile(environ, "a")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://a", "http://a"),
        ("http://a:1/", "http://a:1"),
        ("http://a/v2", "http://a"),
        ("http://a/v2.15/", "http://a"),
        ("https://a/image/v2", "https://a/image"),
        ("http://[::1]:9292", "http://[::1]:9292"),
        ("http://a/vx", "http://a/vx"),
    ],
)
def test_a_url_loses_its_version(url: str, base: str) -> None:
    assert check_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a",
        "a:9292",
        "ftp://a",
        "http://",
        "http://a:x",
        "http://a b",
        "http://u:p@a",
        "http://a?b",
        "http://a#b",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        check_url(url)
