"""Settings: keys, types and variables, and the ini file that ships with the project."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paste.deploy import appconfig
from paste.deploy.loadwsgi import SERVER, loadcontext

from calotype.config.interpolation import ARGUMENTS, SettingsError, expand
from calotype.config.section import read_settings
from calotype.config.settings import Settings

INI = Path(__file__).parents[3] / "calotype.ini"
DATABASE = {"sqlalchemy.url": "sqlite:///x.sqlite"}
FIELDS = [name for name in Settings.model_fields if name != "store_options"]


def key_of(name: str) -> str:
    return Settings.model_fields[name].alias or f"calotype.{name}"


def read(**given: str) -> Settings:
    """Return settings from keys whose dots are written `__`."""
    return read_settings({}, {**DATABASE, **{key.replace("__", "."): value for key, value in given.items()}})


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_a_description(name):
    field = Settings.model_fields[name]

    assert field.description
    assert field.description.endswith(".")


@pytest.mark.parametrize(
    ("key", "text", "name", "value"),
    [
        ("calotype.stores", "fast, cold  deep", "stores", ("fast", "cold", "deep")),
        ("calotype.stores", "", "stores", ()),
        ("calotype.default_store", "fast", "default_store", "fast"),
        ("calotype.identity", "none", "identity", "none"),
        ("sqlalchemy.pool_size", "3", "pool_size", 3),
        ("sqlalchemy.pool_timeout", "0.5", "pool_timeout", 0.5),
        ("calotype.busy_timeout", "0", "busy_timeout", 0.0),
        ("calotype.migrate", "true", "migrate", True),
        ("calotype.image_size_cap", "1024", "image_size_cap", 1024),
        ("calotype.max_properties", "0", "max_properties", 0),
        ("calotype.max_property_bytes", "7", "max_property_bytes", 7),
        ("calotype.max_metadata_bytes", "9", "max_metadata_bytes", 9),
        ("calotype.list_limit", "10", "list_limit", 10),
        ("calotype.disk_formats", "raw qcow2", "disk_formats", ("raw", "qcow2")),
        ("calotype.disk_formats", "raw, +root-tar", "disk_formats", ("raw", "root-tar")),
        ("calotype.container_formats", "bare", "container_formats", ("bare",)),
        ("calotype.md5", "off", "md5", False),
    ],
)
def test_a_key_of_the_ini_file_sets_the_field_of_its_name(key, text, name, value):
    assert getattr(read_settings({}, {**DATABASE, key: text}), name) == value


def test_a_format_with_a_plus_is_added_to_the_known_ones():
    known = Settings.model_fields["disk_formats"].default
    assert read(calotype__disk_formats="+root-tar").disk_formats == (*known, "root-tar")
    assert read(calotype__disk_formats="+raw").disk_formats == known
    for text in ("qcow3", "raw qcow3", "raw +"):
        wrong = r"^calotype\.disk_formats: '\S+' (names no|is not a known) format"
        with pytest.raises(SettingsError, match=wrong):
            read(calotype__disk_formats=text)


def test_the_database_url_is_the_only_setting_that_has_no_default():
    required = {key_of(name) for name in FIELDS if Settings.model_fields[name].is_required()}

    assert required == {"sqlalchemy.url"}
    with pytest.raises(SettingsError, match=r"^sqlalchemy\.url is missing$"):
        read_settings({}, {})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("sqlalchemy.pool_size", "many"),
        ("sqlalchemy.pool_size", "0"),
        ("sqlalchemy.pool_timeout", "0"),
        ("calotype.busy_timeout", "-1"),
        ("calotype.migrate", "perhaps"),
        ("calotype.identity", "whoever"),
        ("calotype.image_size_cap", "0"),
        ("calotype.list_limit", "1e3"),
    ],
)
def test_the_error_for_a_value_of_the_wrong_type_names_its_ini_key(key, text):
    with pytest.raises(SettingsError) as caught:
        read_settings({}, {**DATABASE, key: text})

    assert str(caught.value).startswith(f"{key}: ")
    assert text not in str(caught.value).removeprefix(key).split() or text.isdigit()


def test_all_invalid_values_are_reported_at_once():
    with pytest.raises(SettingsError, match=r"calotype\.migrate: .*; .*calotype\.md5: |md5.*migrate"):
        read(calotype__migrate="perhaps", calotype__md5="perhaps")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("calotype.defualt_store", "calotype.default_store"),
        ("calotype.image_size_capp", "calotype.image_size_cap"),
        ("sqlalchemy.uri", "sqlalchemy.url"),
        ("calotpe.identity", "calotype.identity"),
        ("calotpe.identiti", "calotype.identity"),
        ("sqlalchmy.pool_size", "sqlalchemy.pool_size"),
        ("stroe.file.create", "store.file.create"),
        ("stores.file.create", "store.file.create"),
        ("extensions.metadefs.enabled", "extension.metadefs.enabled"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_hint(key, hint):
    with pytest.raises(SettingsError) as caught:
        read_settings({}, {**DATABASE, key: "x"})

    assert str(caught.value) == f"unknown setting {key} (did you mean {hint}?)"


@pytest.mark.parametrize(
    "key", ["qqqqqq", "store.fast", "store.path", "calotype.zzzzzzzzzzzzzz", "default", "foo.bar"]
)
def test_an_unknown_key_without_a_similar_one_is_an_error(key):
    with pytest.raises(SettingsError, match=f"unknown setting {key}"):
        read_settings({}, {**DATABASE, key: "x"})


def test_the_field_that_gathers_store_options_cannot_be_set_by_a_key():
    with pytest.raises(SettingsError, match="unknown setting"):
        read(calotype__store_options="x")


def test_keys_of_pyramid_are_accepted():
    assert read(pyramid__includes="pyramid_tm").stores is None


def test_keys_of_the_default_section_are_no_unknown_settings(tmp_path):
    """PasteDeploy gives them to every section as variables."""
    ini = tmp_path / "test.ini"
    ini.write_text(INI.read_text().replace("[DEFAULT]\n", "[DEFAULT]\nany = 1\nany.thing = 2\n"))
    context = appconfig(f"config:{ini}", name="main", global_conf={"data_dir": "/srv/ct"})
    assert read_settings(context.global_conf, context.local_conf).default_store == "file"


def test_store_keys_are_gathered_by_store_and_keep_their_dots():
    settings = read(store__fast__driver="file", store__fast__path="/a", store__s3__retry__max="3")

    assert settings.store_options == {"fast": {"driver": "file", "path": "/a"}, "s3": {"retry.max": "3"}}


def test_a_password_in_the_database_url_is_not_shown():
    settings = read_settings({}, {"sqlalchemy.url": "postgresql://u:hunter2@db/x"})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())
    assert settings.database_url.get_secret_value() == "postgresql://u:hunter2@db/x"


def test_md5_can_be_switched_off_but_sha256_cannot():
    assert read().digests == ("sha256", "md5")
    assert read(calotype__md5="false").digests == ("sha256",)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        read().migrate = True


# ---------------------------------------------------------------- variables


def test_a_variable_is_replaced_by_its_value():
    assert expand("k", "${a}/${b}/${a}", {"a": "1", "b": "2"}) == "1/2/1"


def test_the_value_of_a_variable_may_contain_variables(monkeypatch):
    monkeypatch.setenv("CALOTYPE_TEST_HOME", "/home/x")

    assert expand("k", "${data}/y", {"data": "${env:CALOTYPE_TEST_HOME}/images"}) == "/home/x/images/y"


def test_a_variable_that_refers_to_itself_is_reported_as_missing():
    with pytest.raises(SettingsError, match=r"b: '\$\{a\}' names no variable"):
        expand("k", "${a}", {"a": "${b}", "b": "${a}"})


def test_an_environment_variable_is_replaced_by_its_value(monkeypatch):
    monkeypatch.setenv("CALOTYPE_TEST_SECRET", "s3cret$1")

    assert expand("k", "x${env:CALOTYPE_TEST_SECRET}y", {}) == "xs3cret$1y"


def test_a_reference_to_a_file_is_replaced_by_its_content_without_the_last_newline(tmp_path):
    (tmp_path / "secret").write_text("a\nb\n\n")

    assert expand("k", f"${{file:{tmp_path}/secret}}", {}) == "a\nb\n"


def test_the_content_of_a_file_or_of_the_environment_is_not_expanded_again(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("${a}")
    monkeypatch.setenv("CALOTYPE_TEST_SECRET", "${a}")

    assert expand("k", f"${{file:{tmp_path}/secret}}${{env:CALOTYPE_TEST_SECRET}}", {"a": "1"}) == "${a}${a}"


def test_an_escaped_variable_is_literal():
    assert expand("k", "$${a} ${a} $$ $a {a} $${", {"a": "1"}) == "${a} 1 $$ $a {a} ${"


@pytest.mark.parametrize(
    "what", ["nowhere", "env:CALOTYPE_NOWHERE", "file:/nowhere/at/all", "file:/", "env:", ""]
)
def test_a_missing_variable_is_reported_in_one_sentence_with_key_and_variable(what):
    with pytest.raises(SettingsError) as caught:
        read_settings({"here": "/"}, {"sqlalchemy.url": f"sqlite:///${{{what}}}"})

    assert str(caught.value).startswith("sqlalchemy.url: ")
    assert f"${{{what}}}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret${hunter2", "a ${ in its value has no closing }: add it, or write $${ for a plain ${"),
        ("/x/${data", "a ${ in its value has no closing }: add it, or write $${ for a plain ${"),
        ("${env:}", "'${env:}' names no environment variable: write one after the colon"),
        ("${file:}", "'${file:}' names no file: write one after the colon"),
        (
            "${file:database_url}",
            "'${file:database_url}' names a relative path, which depends on the directory in which a command "
            "is started: write an absolute path, such as ${file:/etc/calotype/database_url}",
        ),
        ("${file:/proc}", "'${file:/proc}' needs the file /proc, which cannot be read (Is a directory): "),
        ("${file:/nowhere/x}", "'${file:/nowhere/x}' needs the file /nowhere/x, which does not exist: "),
        (
            "${fil:/x}",
            "'${fil:/x}': there is no source fil (did you mean file?); write ${env:NAME} or ${file:",
        ),
        ("${env:NOWHERE_X}", "needs the environment variable NOWHERE_X, which is not set: set it before"),
        (
            "${nam}",
            "'${nam}' names no variable (did you mean name?): set nam in [DEFAULT], or after the ini",
        ),
    ],
)
def test_a_variable_without_a_value_is_refused_with_the_remedy(text, said):
    with pytest.raises(SettingsError) as caught:
        expand("key", text, {"name": "x"})
    assert str(caught.value).startswith("key: ")
    assert said in str(caught.value)


def test_a_mistake_in_a_variables_value_is_located_where_the_variable_is_set(tmp_path):
    ini = tmp_path / "test.ini"
    ini.write_text("[DEFAULT]\nplace = ${env:NOWHERE_X}\n[app:main]\ncalotype.default_store = ${place}\n")
    given = {"__file__": str(ini), "place": "${env:NOWHERE_X}"}
    for typed, where in ((str(ini), f"{ini}, line 2: "), (f"{ini} place=x", "on the command line: ")):
        with pytest.raises(SettingsError) as caught:
            read_settings({**given, ARGUMENTS: typed}, {"calotype.default_store": "${place}"})
        assert str(caught.value).startswith(f"{where}place: '${{env:NOWHERE_X}}' needs")


def test_an_invalid_value_is_shown_with_the_variable_it_comes_from(tmp_path):
    ini = tmp_path / "test.ini"
    ini.write_text("[DEFAULT]\nlong = 5 weeks\n[app:main]\ncalotype.lease = ${long}\n")
    with pytest.raises(
        SettingsError, match=r"line 4: calotype.lease: .*not '5 weeks' \(long=5 weeks in line 2\)$"
    ):
        read_settings(
            {"__file__": str(ini), "long": "5 weeks"}, {"sqlalchemy.url": "x", "calotype.lease": "${long}"}
        )


def test_a_file_that_is_not_text_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"store\.s3\.secret_key: '\$\{file:.*is not a text file"):
        read(store__s3__secret_key=f"${{file:{tmp_path}/key}}")


@given(st.text(alphabet="${}:abenvfile\x00 /", max_size=30))
def test_any_text_is_either_expanded_or_refused_in_a_sentence(text):
    with contextlib.suppress(SettingsError):
        assert isinstance(expand("k", text, {"a": "1", "b": "${a}"}), str)


@given(st.text(max_size=30).filter(lambda text: "${" not in text))
def test_text_without_variables_stays_unchanged(text):
    assert expand("k", text, {"a": "1"}) == text


# ---------------------------------------------------------------- the ini file that ships


def load(**variables: str) -> Settings:
    context = appconfig(f"config:{INI}", name="main", global_conf=variables)
    return read_settings(context.global_conf, context.local_conf)


def test_the_shipped_ini_keeps_its_data_next_to_the_ini_file():
    settings = load()

    assert settings.database_url.get_secret_value() == f"sqlite:///{INI.parent}/var/calotype.sqlite"
    assert settings.store_options["file"]["path"] == f"{INI.parent}/var/images"
    assert settings.migrate
    assert settings.default_store == "file"


def test_variables_of_the_command_line_win_over_the_default_section():
    settings = load(data_dir="/srv/ct")

    assert settings.database_url.get_secret_value() == "sqlite:////srv/ct/calotype.sqlite"
    assert settings.store_options["file"]["path"] == "/srv/ct/images"


@pytest.mark.parametrize(
    ("variables", "listen"), [({}, "127.0.0.1:9292"), ({"http_port": "1"}, "127.0.0.1:1")]
)
def test_the_server_section_may_use_variables_and_listens_on_loopback(variables, listen):
    context = loadcontext(SERVER, f"config:{INI}", name="main", global_conf=variables)

    assert expand("listen", context.local_conf["listen"], context.global_conf) == listen


def test_a_variable_from_the_environment_can_be_used_on_the_command_line(monkeypatch):
    monkeypatch.setitem(os.environ, "CALOTYPE_TEST_DATA", "/from/env")

    assert load(data_dir="${env:CALOTYPE_TEST_DATA}/x").store_options["file"]["path"] == "/from/env/x/images"
