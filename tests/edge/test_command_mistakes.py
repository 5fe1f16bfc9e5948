"""Mistakes in commands: each ends the command with one sentence, and nothing is created."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import sqlite3
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calotype.cli.manage import main
from calotype.database import migrate
from calotype.identity.token_file import TokenFile
from tests.conftest import StartServer
from tests.support.database import make_on_postgresql
from tests.support.forked import run_manage
from tests.support.server import INI, write_ini

NO_STORE = "there is no store 'fiel' (did you mean file?); use one of: file, http"
SECRET_URL = "database_url=postgresql+psycopg://u:hunter2@h/x"
NO_ID = "calotype-manage: ID is missing before the variables: write ID after the ini file"
COMMANDS = {
    "no file": (["stores", "nosuch.ini"], 2, "calotype-manage: nosuch.ini: there is no such ini file"),
    "a directory": (["stores", "DIRECTORY"], 2, ": this is a directory: name the ini file in it"),
    "a broken file": (["stores", "BROKEN"], 1, "line 1"),
    "a variable": (["stores", "INI", "data_dri=/x"], 2, "did you mean data_dir?"),
    "no variable": (["stores", "INI", "quickly"], 2, "calotype-manage: 'quickly' is not a variable"),
    "a URL for a variable": (
        ["stores", "INI", SECRET_URL.partition("=")[2]],
        2,
        "'postgresql+psycopg://***@h/x' is not a variable",
    ),
    "a URL with a query for a variable": (
        ["stores", "INI", f"{SECRET_URL.partition('=')[2]}?x=y"],
        2,
        "has no variable postgresql+psycopg://***@h/x?x",
    ),
    "no ini file": (["stores", SECRET_URL], 2, "//***@h/x: there is no such ini file"),
    "no image to undelete": (["images", "undelete", "INI", SECRET_URL], 2, NO_ID),
    "no image to recheck": (["images", "unquarantine", "INI", SECRET_URL], 2, NO_ID),
    "no token to revoke": (["token", "revoke", "INI", SECRET_URL], 2, NO_ID),
    "no store to resume": (
        ["scrub", "resume", "INI", SECRET_URL],
        2,
        "calotype-manage: STORE is missing before the variables: write STORE after the ini file",
    ),
    "a role": (
        ["token", "add", "INI", "HOME", "--user", "u", "--role", "memebr"],
        2,
        "'memebr' is not one of",
    ),
    "another role": (
        ["token", "add", "INI", "HOME", "--user", "u", "--role", "owner"],
        2,
        "'admin', 'member', 'reader'",
    ),
    "seconds": (["fsck", "INI", "HOME", "--window", "soon"], 2, "must be a time"),
    "a rate": (["fsck", "INI", "HOME", "--deep", "fast"], 2, "must be a size"),
    "a rate without a unit": (["fsck", "INI", "HOME", "--deep", "100"], 2, "100MiB"),
    "no database": (["fsck", "INI", "NEW"], 1, "there is no database at"),
    "an image of no database": (["images", "undelete", "INI", "x", "NEW"], 1, "db upgrade"),
    "a sweep of no database": (["sweep", "INI", "NEW"], 1, "db upgrade"),
    "a scrub of no database": (["scrub", "show", "INI", "NEW"], 1, "db upgrade"),
    "a database that is none": (
        ["db", "upgrade", "INI", "HOME", "database_url=sqlite:///TEXT"],
        1,
        "not a database",
    ),
    "no name of a user": (["token", "add", "INI", "HOME", "--user", ""], 2, "it must not be empty"),
    "a blank project": (
        ["token", "add", "INI", "HOME", "--user", "u", "--project", " "],
        2,
        "it must not be empty",
    ),
    "days that are no number": (
        ["token", "add", "INI", "HOME", "--user", "u", "--days", "nan"],
        2,
        "not 'nan'",
    ),
    "days that are a word": (
        ["token", "add", "INI", "HOME", "--user", "u", "--days", "many"],
        2,
        "it must be a number of days above 0, such as 365, not 'many'",
    ),
    "no days": (
        ["token", "add", "INI", "HOME", "--user", "u", "--days", "0"],
        2,
        "above 0, such as 365, not '0'",
    ),
    "a number of removals": (
        ["fsck", "INI", "HOME", "--repair", "--yes-remove", "all"],
        2,
        "it must be a whole number, such as 25, not 'all'",
    ),
    "too many days": (["token", "add", "INI", "HOME", "--user", "u", "--days", "1e12"], 2, "number of days"),
    "a time": (["audit", "INI", "HOME", "--since", "yesterday"], 2, "not 'yesterday'"),
    "an id": (["audit", "INI", "HOME", "--image", "mine"], 2, "not 'mine'"),
    "a store to scrub": (["scrub", "run", "INI", "HOME", "--store", "fiel"], 1, NO_STORE),
    "a store to resume": (["scrub", "resume", "INI", "fiel", "HOME"], 1, NO_STORE),
    "a store to check": (["fsck", "INI", "HOME", "--store", "fiel"], 1, NO_STORE),
    "a store of findings": (["findings", "INI", "HOME", "--store", "fiel"], 1, NO_STORE),
    "a store to create": (["stores", "INI", "HOME", "--create", "fiel"], 1, NO_STORE),
    "a store to claim": (["stores", "INI", "HOME", "--claim", "fiel"], 1, NO_STORE),
    "a store that is not scrubbed": (
        ["scrub", "run", "INI", "HOME", "--store", "http"],
        1,
        "the store 'http' is not scrubbed: see store.http.scrub and store.http.scrub_rate",
    ),
    "another owner of a place that is ours": (
        ["stores", "INI", "HOME", "--claim", "file", "--from", "123"],
        1,
        "its marker does not name the database 123 of --from: its place belongs to this store",
    ),
    "a relative data_dir": (
        ["db", "upgrade", "INI", "data_dir=var"],
        1,
        "its path var/calotype.sqlite is relative, because data_dir = var is",
    ),
    "a relative data_dir for tokens": (
        ["token", "add", "INI", "data_dir=var", "--user", "u"],
        1,
        "var/tokens.json is relative",
    ),
}
#: Each command that needs the tables, without INI and VARIABLES.
EMPTY = (
    "db downgrade --to=0001",
    "db new-id --yes",
    "db check",
    "images undelete ID",
    "images unquarantine ID",
    "sweep",
    "fsck",
    "findings",
    "scrub show",
    "scrub run",
    "scrub resume STORE",
    "audit",
    "stores",
)
#: Mistakes in the URL of the database, and parts of the answers of every command.
URLS = {
    "no file": ("sqlite://", "it names no file: write sqlite:////PATH, with four slashes"),
    "memory": ("sqlite:///:memory:", "a database in memory cannot be used"),
    "memory by a URI": ("sqlite:///file::memory:?uri=true", "a database in memory cannot be used"),
    "memory by a mode": ("sqlite:///file:x?mode=memory&uri=true", "a database in memory cannot be used"),
    "three slashes": ("sqlite:///srv/x.sqlite", "its path srv/x.sqlite is relative"),
    "a parameter of a URI": (
        "sqlite:///{home}/x.sqlite?mode=rw",
        "its parameter mode has no effect, because SQLite reads it only in a URI: remove ?mode=...",
    ),
    "a directory": ("sqlite:///{home}", "{home} is a directory: name a file in it"),
    "a placeholder": ("postgresql+psycopg://user@host:port/x", "the port must be a number, not 'port'"),
    "a port": ("postgresql+psycopg://user@host:99999/x", "from 1 to 65535, not '99999'"),
    "a forgotten host": ("postgresql+psycopg://u:hunter2/x", "the form is USER:PASSWORD@HOST:PORT/NAME"),
    "an @ in the password": ("postgresql+psycopg://u:hun@ter2@h/x", "must be percent-encoded"),
    "a / in the password": ("mysql+pymysql://u:hun/ter2@h/x", "must be percent-encoded"),
    "a foreign database": ("sqlite:///{home}/foreign", "holds tables of another program (b, songs)"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_ends_a_command_with_a_sentence(name: str, template: Path, tmp_path: Path) -> None:
    """r1-E4, r1-E5, r1-E6, r1-E7: a command in the sentence has the variables of this command line."""
    words, status, wanted = COMMANDS[name]
    broken = tmp_path / "broken.ini"
    broken.write_text("x = y\n")
    stands_for = {
        "INI": str(INI),
        "BROKEN": str(broken),
        "DIRECTORY": str(tmp_path),
        "HOME": f"data_dir={template}",
        "NEW": f"data_dir={tmp_path}/new",
    }
    arguments = [stands_for.get(word, word).replace("TEXT", f"{template}/text") for word in words]
    done = run_manage(arguments)
    assert done.returncode == status, done.stderr
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    if "NEW" in words:
        assert f"calotype-manage db upgrade {INI} data_dir={tmp_path}/new" in done.stderr


@pytest.mark.parametrize("command", ["db upgrade", "db current", "stores", "findings"])
@pytest.mark.parametrize("name", URLS)
def test_a_mistake_in_the_databases_url_ends_each_command_with_a_sentence(
    name: str, command: str, tmp_path: Path
) -> None:
    url, said = (text.replace("{home}", str(tmp_path)) for text in URLS[name])
    with contextlib.closing(sqlite3.connect(tmp_path / "foreign")) as foreign:
        foreign.executescript("CREATE TABLE songs (id); CREATE TABLE b (id)")
    before = (tmp_path / "foreign").read_bytes()
    done = run_here(*command.split(), INI, f"data_dir={tmp_path}/data", f"database_url={url}")
    assert done.exit_code == 1, done.output
    # A database of another program is found when the URL has been read.
    place = "calotype-manage: " if name == "a foreign database" else "on the command line: database_url: "
    assert place in done.stderr
    assert said in done.stderr
    assert "ter2" not in done.output
    assert isinstance(done.exception, SystemExit)
    assert [path.name for path in tmp_path.iterdir()] == ["foreign"]
    assert (tmp_path / "foreign").read_bytes() == before


@pytest.mark.parametrize("command", EMPTY)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.campaign)])
def test_each_command_on_an_empty_database_names_the_command_that_fills_it(
    command: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The command `stores` used to end with a traceback on PostgreSQL, and with status 0 on SQLite."""
    if kind == "sqlite":
        (tmp_path / "empty").touch()
        url = f"sqlite:///{tmp_path}/empty"
    else:
        url = make_on_postgresql(request.getfixturevalue("postgres"), f"t{uuid.uuid4().hex}")
    words = command.split()
    split = 1 + (words[0] in ("images", "scrub", "db"))
    variables = [f"data_dir={tmp_path}", f"database_url={url}"]
    done = run_here(*words[:split], INI, *words[split:], *variables)
    assert done.exit_code == 1, done.output
    assert "the database is empty" in done.stderr
    assert isinstance(done.exception, SystemExit)
    if "downgrade" not in command:
        assert f"run `calotype-manage db upgrade {INI} data_dir={tmp_path} " in done.stderr


def run_here(*words: str | Path) -> Result:
    """Run `calotype-manage WORDS` in this process, which is faster than in one of its own."""
    return CliRunner().invoke(main, [str(word) for word in words])


#: Each command that creates no database, without INI and VARIABLES.
LOOKING = (*EMPTY[:-1], "db current", "stores --create=file MIGRATE", "stores --claim=file MIGRATE")


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_without_a_database_is_refused_and_creates_none(command: str, tmp_path: Path) -> None:
    """If data_dir was misspelt, commands created a directory with an empty database."""
    ini = INI if "MIGRATE" not in command else write_ini(tmp_path, {"calotype.migrate": "false"})
    words = command.replace(" MIGRATE", "").split()
    split = 1 + (words[0] in ("db", "images", "scrub"))
    done = run_here(*words[:split], ini, *words[split:], f"data_dir={tmp_path}/new")
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    assert re.match(r"calotype-manage: \S+, line \d+: database_url: there is no database at", done.stderr)
    assert f"there is no database at {tmp_path}/new/calotype.sqlite" in done.stderr
    assert f"calotype-manage db upgrade {ini} data_dir={tmp_path}/new" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["typed", "in a file"])
def test_a_missing_database_blames_data_dir_only_if_the_url_contains_it(kind: str, tmp_path: Path) -> None:
    """The sentence said `correct data_dir` although the file only happened to be in that directory."""
    url = f"sqlite:///{tmp_path}/new/calotype.sqlite"
    (tmp_path / "url").write_text(url)
    ini = tmp_path / "test.ini"
    default = "sqlite:///${data_dir}/calotype.sqlite"
    text = INI.read_text().replace(default, f"${{file:{tmp_path}/url}}" if kind == "in a file" else default)
    ini.write_text(text)
    typed = [f"database_url={url}"] if kind == "typed" else []
    done = run_here("fsck", ini, f"data_dir={tmp_path}/new", *typed)
    place = "on the command line: " if typed else f"{ini}, line 9: "
    said = f"calotype-manage: {place}database_url: there is no database at {tmp_path}/new/calotype.sqlite: "
    assert done.stderr.startswith(f"{said}correct this key if the path is wrong"), done.output


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["stores"], 1, "there is no database at"),
        (["stores", "URL"], 1, "it is not a URL"),
        (["token", "list"], 0, "there is no file of tokens"),
        (["token", "revoke"], 1, "there is no file of tokens"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_that_needs_no_database_creates_no_directory(
    words: list[str], status: int, said: str, tmp_path: Path
) -> None:
    url = ["database_url=x"] if "URL" in words else []
    words = [word for word in words if word != "URL"]
    of = ["ID"] if "revoke" in words else []
    done = run_here(*words, INI, *of, f"data_dir={tmp_path}/new", *url)
    assert done.exit_code == status
    assert said in done.output
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
def test_files_that_root_creates_belong_to_the_owner_of_the_parent_directory(tmp_path: Path) -> None:
    """The service could not write to directories and files that belonged to root."""
    service, group = 61_001, 61_002
    above = tmp_path / "above"
    above.mkdir()
    os.chown(above, service, group)
    data = above / "data"
    ini = write_ini(tmp_path, {"store.file.path": f"{data}/images/first"})
    for words in (["db", "upgrade"], ["stores"], ["token", "add"]):
        more = {"stores": ["--create=file", "--check"], "token": ["--user=u", "--role=admin"]}
        done = run_manage([*words, ini, *more.get(words[0], []), f"data_dir={data}"])
        assert done.returncode == 0, done.stderr
    owners = {str(path): (path.stat().st_uid, path.stat().st_gid) for path in [data, *data.rglob("*")]}
    assert f"{data}/images/first/.calotype-store" in owners
    assert f"{data}/tokens.json" in owners
    assert {path: owner for path, owner in owners.items() if owner != (service, group)} == {}


def test_the_command_stores_shows_every_value_as_an_ini_file_spells_it(tmp_path: Path) -> None:
    """The command used to show Python's True, and none of the keys that the core reads."""
    keys = {
        "calotype.stores": "file",
        "store.file.quota": "${env:QUOTA}",
        "store.file.read_only": "yes",
        "store.file.accel": "/internal/",
        "store.file.scrub_rate": "512KiB",
        "store.file.call_timeout": "2m",
        "store.file.description": "on [this] disk",
        "store.file.redirect": "true",
    }
    done = run_manage(["stores", write_ini(tmp_path, keys), f"data_dir={tmp_path}"], {"QUOTA": "10485760"})
    for shown in (
        "fsync = true",
        "quota = 10MiB",
        "read_only = true",
        "accel = /internal/",
        "scrub = true",
        "scrub_rate = 512KiB",
        "call_timeout = 120",
        "description = on [this] disk",
        "create = true",
        "weight = 0",
        "redirect = true",
    ):
        assert shown in done.stdout
    assert "True" not in done.stdout


@pytest.mark.parametrize(
    ("role", "warned"),
    [(["--role=member"], True), ([], True), (["--role=admin"], False), (["--role=reader"], False)],
)
def test_a_token_that_cannot_create_images_is_created_with_a_warning(
    role: list[str], warned: bool, tmp_path: Path
) -> None:
    """Every upload with this token is refused with 403."""
    done = run_here("token", "add", INI, "--user=u", *role, f"data_dir={tmp_path}")
    assert done.exit_code == 0
    assert done.stdout.startswith("token of u, never expires: ")
    assert done.stderr.count("\n") == warned
    assert ("it has no project" in done.stderr and "--project" in done.stderr) is warned


@pytest.mark.parametrize(
    ("text", "state"),
    [(None, "does not exist"), ("[]", "has no token"), ("EXPIRED", "has only expired tokens")],
)
def test_a_file_of_tokens_that_admits_nobody_is_a_warning(
    text: str | None, state: str, tmp_path: Path, start_server: StartServer
) -> None:
    """Every request got 401, and neither the log nor `stores` said why."""
    file = tmp_path / "tokens.json"
    if text == "EXPIRED":
        TokenFile(file).add("u", "p", (), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    elif text is not None:
        file.write_text(text)
        file.chmod(0o600)
    server = start_server({"calotype.identity": "tokens", "calotype.tokens_file": str(file)})
    said = f"the file of tokens {file} {state}, so every request that needs a token is refused"
    assert said in server.log
    done = run_here("stores", server.ini, *server.variables)
    assert (done.exit_code, f"warning: {said}" in done.output) == (0, True), done.output
    assert f"run `calotype-manage token add {server.ini} " in done.output
    assert "--user NAME --project NAME`" in done.output  # a token without a project cannot upload


def test_the_command_token_revoke_prints_the_id_of_the_revoked_token(tmp_path: Path) -> None:
    added = run_here("token", "add", INI, "--user=u", "--project=p", f"data_dir={tmp_path}")
    token = added.stdout.split()[-1]
    done = run_here("token", "revoke", INI, token, f"data_dir={tmp_path}")
    assert (done.exit_code, done.stdout) == (0, f"revoked {token.partition('.')[0]}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[\n{]", "line 2 column 2"),
        ('[{"id": "x", "sha256": "y"}]', "token 1, user: must be set"),
        ('[{"id": 1, "sha256": "y", "user": "u"}]', "token 1, id: must be a text in quotes"),
        ("[1]", "token 1, the whole entry: must be an object, from { to }"),
        ("{}", "is damaged: line 1: the file must hold a list of tokens, from [ to ]"),
    ],
)
def test_a_damaged_file_of_tokens_is_refused_with_its_place_and_a_remedy(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "tokens.json").write_text(text)
    done = run_here("token", "list", INI, f"data_dir={tmp_path}")
    assert done.exit_code == 1
    assert said in done.stderr
    assert f"create new tokens with `calotype-manage token add {INI} data_dir={tmp_path}`" in done.stderr


@pytest.mark.parametrize("path", ["images", ""])
def test_a_relative_path_of_a_file_store_is_refused(path: str, template: Path, tmp_path: Path) -> None:
    """The path led to another directory wherever a command was started."""
    ini = tmp_path / "calotype.ini"
    ini.write_text(
        INI.read_text().replace("store.file.path = ${data_dir}/images", f"store.file.path = {path}")
    )
    done = run_here("stores", ini, f"data_dir={template}")
    assert done.exit_code == 1
    assert "option path: must be an absolute path, because a relative one depends" in done.stderr


def test_a_store_with_images_is_not_created_again_unless_the_operator_insists(
    start_server: StartServer,
) -> None:
    """The command made an empty store, marked it and reported "reachable", while the disk was not mounted."""
    server = start_server()
    for body in (b"one", b"two"):
        server.upload(body)
    server.stop()
    images = server.data_dir / "images"
    images.rename(server.data_dir / "aside")
    for before in (lambda: None, images.mkdir, lambda: (images / ".calotype-store").touch()):
        before()
        done = run_here("stores", server.ini, *server.variables, "--create=file")
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        said = "The database has 2 images in store 'file': mount its disk; for a new, empty store use "
        assert f"{said}calotype-manage stores {server.ini} " in done.stderr
        assert done.stderr.endswith(f"--create file --yes (path = {images})\n")
        assert not [*images.rglob("*")] or [path.name for path in images.iterdir()] == [".calotype-store"]
    done = run_here("stores", server.ini, *server.variables, "--create=file", "--yes")
    assert (done.exit_code, "reachable" in done.stdout) == (0, True), done.output


@pytest.mark.parametrize("words", [["db", "downgrade", "--to=metadefs_0"], ["db", "new-id", "--yes"]])
def test_a_change_of_the_whole_database_is_refused_while_a_process_serves(
    words: list[str], start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards every list got 503, while /readyz reported that the database was ok."""
    monkeypatch.setattr(migrate, "older_than", lambda revision, branch: ["metadefs_0"])
    server = start_server()
    (process,) = server.readyz(lambda ready: ready.json.get("processes")).json["processes"]
    done = run_here(*words[:2], server.ini, *words[2:], *server.variables)
    assert done.exit_code == 1, done.output
    said = f"a process still serves on this database ({process['host']}, pid {process['pid']}): stop"
    assert said in done.stderr
    assert server.get("/images").status == 200
