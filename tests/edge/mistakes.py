"""The table of an operator's mistakes, each with the words that the refusal of the start must contain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Change = Callable[[str], str]


@dataclass(frozen=True)
class Mistake:
    """A mistake, and the words that the sentence must contain.

    `{home}` in a text stands for the data directory, `{taken}` for a port on which somebody listens.
    """

    words: tuple[str, ...]
    app: Mapping[str, str] = field(default_factory=dict)
    server: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    text: Change | None = None
    before: Callable[[Path], object] | None = None
    status: int = 1


def app(key: str, value: str, *words: str, **more: str) -> Mistake:
    """Return a mistake in [app:main], whose sentence must contain the key."""
    others = {name.replace("__", "."): text for name, text in more.items()}
    return Mistake((key, *words), {key: value, **others})


def server(key: str, value: str, *words: str) -> Mistake:
    """Return a mistake in [server:main]."""
    return Mistake((key, *words), server={key: value})


def variable(text: str, *words: str, status: int = 1) -> Mistake:
    """Return a mistake in a variable on the command line."""
    return Mistake(words, variables=(text,), status=status)


def replaced(old: str, new: str, *words: str) -> Mistake:
    """Return a mistake in the text of the ini file."""
    return Mistake(words, text=lambda text: text.replace(old, new))


def named(*words: str, before: Callable[[Path], object] | None = None, **options: str) -> Mistake:
    """Return a mistake in a store `file` that calotype.stores names."""
    keys = {f"store.file.{name}": value for name, value in options.items()}
    return Mistake(words, {"calotype.stores": "file", "store.file.create": "", **keys}, before=before)


def damage_tokens(home: Path) -> None:
    (home / "tokens.json").write_text("{")


TOKENS = {"calotype.identity": "tokens"}


AT_START = {
    # Values
    "a size": app("calotype.image_size_cap", "ten", "line ", "'ten'", "must be a size", "10MiB"),
    "a flag": app("calotype.migrate", "fasle", "line ", "must be true or false, not 'fasle'"),
    "seconds": app("calotype.lease", "5 weeks", "line ", "'5 weeks'", "must be a time", "5m"),
    "a size below the least": app("calotype.list_bytes", "0", "must be at least 1, not '0'"),
    "a choice": app("calotype.identity", "tokns", "'none', 'tokens' or 'keystone'", "'tokns'"),
    "a key": app("calotype.defualt_store", "file", "line ", "did you mean calotype.default_store?"),
    "a key's first part": app("calotpe.identity", "tokens", "line ", "did you mean calotype.identity?"),
    "a missing variable": app(
        "calotype.public_endpoint", "${data_dri}", "${data_dri}", "did you mean data_dir?"
    ),
    "a missing environment variable": app(
        "calotype.default_store",
        "${env:NOWHERE_X}",
        "line ",
        "'${env:NOWHERE_X}' needs the environment variable NOWHERE_X, which is not set: set it before",
    ),
    "a missing environment variable behind a variable": Mistake(
        ("line 7: name: '${env:NOWHERE_X}' needs the environment variable NOWHERE_X",),
        text=lambda text: text.replace("[DEFAULT]\n", "[DEFAULT]\nname = ${env:NOWHERE_X}\n").replace(
            "calotype.default_store = file", "calotype.default_store = ${name}"
        ),
    ),
    "a missing file": app(
        "calotype.default_store",
        "${file:/nowhere/x}",
        "line ",
        "'${file:/nowhere/x}' needs the file /nowhere/x, which does not exist: create it",
    ),
    "a URL": app("sqlalchemy.url", "sqlite//x", "line ", "it is not a URL"),
    "a database of another kind": app(
        "sqlalchemy.url",
        "oracle://u:hunter2@h/x",
        "line ",
        "a database of the kind oracle:// is not supported: use one of sqlite://, postgresql+psycopg:// and",
    ),
    "a URL of libpq's": app(
        "sqlalchemy.url", "postgres://u:hunter2@h/x", "line ", "write postgresql+psycopg:// for postgres://"
    ),
    "a URL of MySQL's": app(
        "sqlalchemy.url", "mysql://u:hunter2@h/x", "line ", "write mysql+pymysql:// for mysql://"
    ),
    "a key of the database": app("calotype.database_url", "sqlite:///x", "did you mean sqlalchemy.url?"),
    "a secret in a value": app("calotype.public_endpoint", "ftp://u:hunter2@h", "'ftp://***@h'"),
    "a source of values": app(
        "calotype.default_store",
        "${fil:/x}",
        "line ",
        "no source fil (did you mean file?)",
        "${env:NAME}",
    ),
    "a number": app("sqlalchemy.pool_size", "many", "line ", "must be a whole number, not 'many'"),
    "a URL of the service": app(
        "calotype.public_endpoint", "images.example.com", "must look like https://images.example.com"
    ),
    "an origin": app("calotype.cors_origins", "https://a.example/x", "'https://a.example/x' is not an"),
    "a format": app("calotype.disk_formats", "qcow3", "did you mean qcow2?", "write +qcow3 to add"),
    # Files
    "no file": Mistake(("nosuch.ini: there is no such ini file", "name one"), text=lambda text: "", status=2),
    "a key twice": replaced("[app:main]\n", "[app:main]\nuse = x\n", "line ", "has use already"),
    "a section twice": Mistake(("line ", "[app:main]", "join"), text=lambda text: text + "\n[app:main]\n"),
    "a broken section": replaced("[app:main]", "[app:main", "line ", "a section is [NAME], not '[app:main'"),
    "a line that is nothing": replaced("[app:main]", "[app:main]\nhello you\n", "KEY = VALUE: 'hello you'"),
    "a line before the sections": Mistake(
        ("line 1", "'x = y'", "before the first [section]"), text=lambda text: f"x = y\n{text}"
    ),
    "no application": replaced(
        "[app:main]", "[app:mian]", "there is no section [app:main] (did you mean app:mian?)"
    ),
    "no server": replaced(
        "[server:main]", "[server:mian]", "there is no section [server:main] (did you mean server:mian?)"
    ),
    "another distribution": replaced(
        "egg:calotype-core\n",
        "egg:calotype-cor\n",
        "'calotype-cor' is installed (did you mean calotype-core?)",
    ),
    "the distribution of all": replaced(
        "egg:calotype-core\n", "egg:calotype\n", "line ", "use: ", "'calotype'", "did you mean calotype-core?"
    ),
    "another entry point": replaced(
        "calotype-server#main", "calotype-server#mian", "line ", "nothing named 'mian' (did you mean main?)"
    ),
    "no egg": replaced(
        "use = egg:calotype-core\n", "use = calotype-core\n", "line ", "write egg:calotype-core"
    ),
    "no use": replaced(
        "use = egg:calotype-core\n", "", "[app:main] has no use: write use = egg:calotype-core"
    ),
    "no use of a server": replaced(
        "use = egg:calotype-server#main\n",
        "",
        "[server:main] has no use: write use = egg:calotype-server#main",
    ),
    "a filter that is not there": Mistake(
        ("there is no section [filter:authtokn] (did you mean filter:authtoken?)",),
        text=lambda text: (
            text.replace("[app:main]", "[app:calotype]")
            + "\n[pipeline:main]\npipeline = authtokn calotype\n[filter:authtoken]\nuse = egg:x\n"
        ),
    ),
    "a percent sign": app("calotype.public_endpoint", "https://h/%40", "line ", "%% for %"),
    "no loggers": replaced(
        "[loggers]", "[logger]", "no section [loggers] to list the loggers (did you mean logger?)"
    ),
    "no handlers": replaced("[handlers]", "[handler]", "there is no section [handlers]"),
    "a logger that is not there": replaced(
        "keys = root, calotype,",
        "keys = root, calotyp,",
        "line ",
        "there is no section [logger_calotyp] (did you mean logger_calotype?)",
    ),
    "no root": replaced("keys = root, calotype", "keys = calotype", "line ", "keys: must include root"),
    "a logger without a name": replaced("qualname = calotype\n", "", "[logger_calotype] has no qualname"),
    "a level of logging": replaced("level = WARNING", "level = LOUD", "line ", "'LOUD' is not one of: "),
    "a handler of a logger": replaced("handlers = console", "handlers = consol", "line ", "mean console?"),
    "a class of a handler": replaced(
        "class = StreamHandler", "class = StreamHandlr", "line ", "did you mean StreamHandler?"
    ),
    "a formatter of a handler": replaced("formatter = line", "formatter = lin", "line ", "mean line?"),
    "a field of a format": replaced(
        "%(asctime)s", "%(asctme)s", "line ", "a log record has no field 'asctme' (did you mean asctime?)"
    ),
    "arguments of a handler": replaced(
        "args = (sys.stderr,)", "args = sys.stderr", "line ", "[handler_console] args: must be in parentheses"
    ),
    "a stream of a handler": replaced(
        "args = (sys.stderr,)", "args = (sys.stder,)", "line ", "[handler_console] args: ", "mean stderr?"
    ),
    "a parenthesis of a handler": replaced(
        "args = (sys.stderr,)", "args = (sys.stderr,", "line ", "not a valid Python expression: '(' was never"
    ),
    "a file of a log": replaced(
        "class = StreamHandler\nargs = (sys.stderr,)",
        "class = FileHandler\nargs = ('/nowhere/x.log',)",
        "/nowhere/x.log: No such file",
    ),
    # The command line
    "a variable": variable("htttp_port=9999", "no variable htttp_port", "did you mean http_port?", status=2),
    "a setting as a variable": variable(
        "calotype.migrate=false", "calotype.migrate", "it is a setting", status=2
    ),
    "no variable": variable("quickly", "'quickly'", "NAME=VALUE", status=2),
    "a variable with dashes": variable(
        "--http_port=9702",
        "there is no option --http_port: a variable has no dashes: write http_port=9702",
        status=2,
    ),
    "a URL for a variable": variable(
        "postgresql+psycopg://u:hunter2@h/x", "'postgresql+psycopg://***@h/x' is not a variable", status=2
    ),
    # Lines that are indented
    "an indented line": replaced(
        "calotype.migrate = true\n",
        "calotype.migrate = true\n  calotype.lease = 5m\n",
        "test.ini, line 15: calotype.lease is indented, so the line belongs to the value of calotype.migrate",
        ": remove the blanks before it",
    ),
    "an indented line of the server": replaced(
        "underscore_headers",
        "threads = 16\n  min_rate = 4\nunderscore_headers",
        "min_rate is indented, so the line belongs to the value of threads: remove the blanks before it",
    ),
    "an indented variable": replaced(
        "data_dir = %(here)s/var\n",
        "data_dir = %(here)s/var\n  password = hunter2\n",
        "test.ini, line 9: password is indented, so the line belongs to the value of data_dir",
    ),
    # Lines in the wrong section
    "a setting among the variables": replaced(
        "[DEFAULT]\n",
        "[DEFAULT]\ncalotype.identity = tokens\n",
        "test.ini, line 7: calotype.identity: it has no effect in [DEFAULT], which holds variables: ",
        "move it into [app:main]",
    ),
    "an option among the variables": replaced(
        "[DEFAULT]\n", "[DEFAULT]\nstore.file.quota = 1GiB\n", "line 7: store.file.quota: it has no effect in"
    ),
    # The server
    "a port": variable(
        "http_port=99999", "line ", "listen", "number from 1 to 65535", "'99999'", "http_port=99999"
    ),
    "a host": server("listen", "nosuch.invalid:9292", "line ", "no address", "nosuch.invalid:9292"),
    "an admin port": app("calotype.admin_listen", "127.0.0.1:99999", "line ", "1 to 65535"),
    "an admin host": Mistake(
        ("admin_listen", "no address", "nosuch.invalid:1"), {"calotype.admin_listen": "nosuch.invalid:1"}
    ),
    "a port that is taken": variable(
        "http_port={taken}", "127.0.0.1:{taken}", "Address already in use", "another port"
    ),
    "a host without a port": server("listen", "127.0.0.1", "line ", "must be HOST:PORT", "not '127.0.0.1'"),
    "a proxy's name": server("trusted_proxy", "localhost", "line ", "must be an IP address"),
    "a proxy's header": Mistake(
        ("line ", "trusted_proxy_headers of the server: must be", "not 'x-forwarded-fro'"),
        server={"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-fro"},
    ),
    "headers of no proxy": server("trusted_proxy_headers", "x-forwarded-for", "line ", "trusted_proxy"),
    "a key of the server": server("treads", "4", "line ", "did you mean threads?"),
    "a public address": server(
        "listen", "0.0.0.0:0", "0.0.0.0", "set calotype.identity to tokens or keystone"
    ),
    "a socket's directory": Mistake(
        ("/nowhere/x.sock", "does not exist"), server={"listen": "", "unix_socket": "/nowhere/x.sock"}
    ),
    "an admin address that is taken": Mistake(
        ("admin_listen", "{taken}", "in use"), {"calotype.admin_listen": "127.0.0.1:{taken}"}
    ),
    "an admin address that is the public one": Mistake(
        ("admin_listen: 127.0.0.1:{free} is also the address of listen: choose another port",),
        {"calotype.admin_listen": "127.0.0.1:{free}"},
        variables=("http_port={free}",),
    ),
    # Stores
    "a name in the list of stores": app(
        "calotype.stores",
        "flie",
        "line 13: store 'flie': calotype.stores names it, but",
        "did you mean file?",
    ),
    "a separator in the list of stores": app(
        "calotype.stores", "file; http", "line 14: store 'file;'", "are separated by blanks or commas"
    ),
    "a name of a store in a key": Mistake(
        ("line 14: store 'fil': it has options but is not named in calotype.stores (did you mean file?)",),
        {"calotype.stores": "file", "store.fil.create": "true"},
    ),
    "an empty default store": replaced(
        "calotype.default_store = file",
        "calotype.default_store =",
        "test.ini, line 17: calotype.default_store names no store: name one, or remove the line",
    ),
    "a default store": Mistake(
        ("line ", "calotype.default_store names it", "did you mean file?"), {"calotype.default_store": "fiel"}
    ),
    "a default store that takes no uploads": Mistake(
        ("line ", "calotype.default_store", "store 'http': it takes no uploads"),
        {"calotype.stores": "file http", "calotype.default_store": "http"},
    ),
    "a staging store": Mistake(
        ("line ", "store 'nvme': calotype.staging_store names it"), {"calotype.staging_store": "nvme"}
    ),
    "a staging store that is not named": Mistake(
        ("line ", "store 's3': calotype.staging_store names it"),
        {"calotype.stores": "file", "calotype.staging_store": "s3"},
    ),
    "an option": Mistake(("store 'file'", "line ", "did you mean path?"), {"store.file.pth": "/x"}),
    "a core option": Mistake(("did you mean read_only?",), {"store.file.read_onyl": "1"}),
    "an option's value": Mistake(
        ("line ", "quota", "must be a size", "'much'"), {"store.file.quota": "much"}
    ),
    "a missing option": named("option path is missing", path=""),
    "a missing driver": Mistake(
        ("no driver 'fiel'", "did you mean file?"),
        {"calotype.stores": "file", "store.file.driver": "fiel"},
    ),
    "a missing directory": named("store 'file'", "does not exist", "path = /nowhere/x", path="/nowhere/x"),
    "a file for a directory": named(
        "(Not a directory): a part of its path is a file, or the path is a symbolic link; correct the option",
        "{home}/calotype.sqlite",
        path="{home}/calotype.sqlite",
    ),
    "a directory without a marker": named("has no .calotype-store marker", path="{home}"),
    "a directory for all": named(
        "chmod go-w", path="{home}/images", before=lambda home: (home / "images").chmod(0o777)
    ),
    "a directory of another store": named(
        "its directory belongs to another store, which is 'fast', as .calotype-store in it says: give each",
        "write file into that file (path = {home}/images)",
        path="{home}/images",
        before=lambda home: (home / "images" / ".calotype-store").write_text("fast\n"),
    ),
    "a CA file of another store": Mistake(
        ("store 'http'", "ca_bundle", "no certificates"),
        {"calotype.stores": "file http", "store.http.ca_bundle": "{home}/calotype.sqlite"},
    ),
    # Extensions
    "an extension that is not there": app(
        "calotype.extensions",
        "metadef",
        "line ",
        "no extension 'metadef' is installed",
        "did you mean metadefs?",
    ),
    "a key of an extension that is not there": Mistake(
        ("line ", "no extension 'faces' is installed"), {"extension.faces.size": "1"}
    ),
    "an option of an extension": Mistake(
        ("line ", "extension 'metadefs': unknown option enabledd", "did you mean enabled?"),
        {"extension.metadefs.enabledd": "1"},
    ),
    "a dialect": app("calotype.dialects", "v1 v3", "line ", "no dialect 'v3' is installed"),
    # The database and the tokens
    "an empty database": Mistake(
        ("db upgrade", "data_dir={home}/new", "there is no database at {home}/new/calotype.sqlite"),
        {"calotype.migrate": "false"},
        variables=("data_dir={home}/new",),
    ),
    "a database below a file": app(
        "sqlalchemy.url",
        "sqlite:///{home}/text/new/x.sqlite",
        "line ",
        "{home}/text",
        ": a part of the path is a file; correct the path",
    ),
    "no database": app("sqlalchemy.url", "sqlite:////proc/x/y.sqlite", "line ", "/proc/x"),
    "a database that is none": Mistake(
        ("{home}/text", "file is not a database: name another file in sqlalchemy.url, or restore this one"),
        {"sqlalchemy.url": "sqlite:///{home}/text"},
    ),
    "a database server that is away": Mistake(
        ("u:***@127.0.0.1:1/x",), {"sqlalchemy.url": "postgresql+psycopg://u:hunter2@127.0.0.1:1/x"}
    ),
    "a damaged file of tokens": Mistake(("{home}/tokens.json", "is damaged"), TOKENS, before=damage_tokens),
    "a relative file of tokens": Mistake(
        ("test.ini, line ", "calotype.tokens_file: tokens.json is relative"),
        {**TOKENS, "calotype.tokens_file": "tokens.json"},
    ),
    "a directory for the file of tokens": Mistake(
        ("/proc", "cannot be read: Is a directory: correct calotype.tokens_file"),
        {**TOKENS, "calotype.tokens_file": "/proc"},
    ),
}
