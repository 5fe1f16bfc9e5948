"""Shared by the scripts in this folder: a cache of installed software, free
loopback ports, and starting, awaiting and stopping processes.

    NAME start [DIR]    start it; print its addresses and credentials as
                        KEY=VALUE lines, without spaces in the values
    NAME stop [DIR]     stop it and remove DIR

DIR holds the server's data, logs and process ids; the default is one below
$SERVERS_STATE, so two servers of a kind need two DIRs.  `start` with the DIR
of a running server prints its lines again.  pip installs into $SERVERS_CACHE,
once; apt installs missing Debian packages.
Servers listen on the loopback address only.

Without $SERVERS_RUN in the environment, a server runs until `stop`.  With it,
for example in pytest, the server ends with the run that the variable names.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HOST = "127.0.0.1"
HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("SERVERS_CACHE", "~/.cache/calotype-test-servers")).expanduser()
STATE = pathlib.Path(
    os.environ.get("SERVERS_STATE", os.path.join(tempfile.gettempdir(), "calotype-test-servers"))
)


# The maximum of a database: each server that tests start keeps a pool of
# connections, and a server that has just ended may still hold some.
CONNECTIONS = 1000

# Below the ports that the kernel gives to clients.
PORTS = range(12000, 32000)

# The variable with the folder of the run to which a process belongs. The
# processes that a run starts inherit it, and are killed when the run ends.
RUN = "SERVERS_RUN"
# The same for servers, which are stopped properly before that.
SERVER_OF = "SERVERS_SERVER_OF"

# The exit status of a script when a Debian package is missing and this user
# cannot install it. Tests are then skipped.
UNAVAILABLE = 77


class Failed(Exception):
    """A server could not be installed or started."""

    status = 1


class Unavailable(Failed):
    """A Debian package is missing, and this user cannot install it."""

    status = UNAVAILABLE


# ---------------------------------------------------------------- installing


def call(argv, **kwargs):
    """Run a program to its end. Its output is shown only if it fails."""
    done = subprocess.run(
        [str(a) for a in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        **kwargs,
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, argv))}\n{done.stdout[-4000:]}")


@contextlib.contextmanager
def _locked(name):
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def installed(name, recipe, install):
    """Return the folder in the cache that install(folder) fills once for each
    text of `recipe`."""
    key = hashlib.sha256(recipe.encode()).hexdigest()[:10]
    folder = CACHE / f"{name}-{key}"
    done = folder / ".installed"
    with _locked(name):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install(folder)
            done.touch()
    return folder


def venv(name):
    """Return the bin folder of a virtual environment of requirements/NAME.txt."""
    requirements = HERE / "requirements" / f"{name}.txt"

    def install(folder):
        call([sys.executable, "-m", "venv", folder])
        call([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", requirements])

    recipe = sys.version + requirements.read_text()
    return installed(name, recipe, install) / "bin"


def _has(package):
    """Return whether dpkg exists and reports the package as installed."""
    if not shutil.which("dpkg-query"):
        return False
    status = subprocess.run(
        ["dpkg-query", "-Wf", "${db:Status-Status}", package], capture_output=True, text=True
    )
    return status.stdout == "installed"


def apt(*packages):
    """Install the Debian packages that the machine lacks."""
    with _locked("apt"):
        missing = [p for p in packages if not _has(p)]
        if missing and (os.geteuid() or not shutil.which("apt-get")):
            raise Unavailable(f"needs the Debian package {' '.join(missing)}")
        if missing:
            # Not part of the run, because a killed dpkg would need repair.
            env = {**_without_run(), "DEBIAN_FRONTEND": "noninteractive"}
            call(["apt-get", "update", "-qq"], env=env)
            call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=env)


# ------------------------------------------------------------------- running


def free_ports(count):
    """Return free ports that no other user of this cache gets soon.

    A server listens seconds after its port was chosen, because it prepares
    its data first.  Random choices would collide now and then, so all users
    of this cache get ports in turn."""
    ports = []
    with _locked("ports"), open(CACHE / "ports", "a+") as turn:
        turn.seek(0)
        port = int(turn.read() or random.choice(PORTS))
        while len(ports) < count:
            port = port + 1 if port + 1 in PORTS else PORTS.start
            with contextlib.suppress(OSError), socket.socket() as s:
                s.bind((HOST, port))
                ports.append(port)
        turn.truncate(0)
        turn.write(str(port))
    return ports


def user_name():
    """Return the name of this process's user."""
    return pwd.getpwuid(os.geteuid()).pw_name


def as_user(name):
    """Return Popen's arguments for a program that root must run as this user."""
    if os.geteuid():
        return {}
    return {"user": name, "group": name, "extra_groups": []}


def _birth(pid):
    """Return the start of the process in clock ticks, or None if it has ended."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]


def _gone(pid, birth, seconds):
    end = time.monotonic() + seconds
    while _birth(pid) == birth:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Server:
    """The processes and files of one started server, all under `folder`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).absolute()
        self.settings = self.folder / "settings"
        self._pids = self.folder / "pids"

    def path(self, *parts, text=None):
        """Return a path in the folder. Make its parent, and write the text if given."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
        return path

    def made(self, *parts):
        path = self.folder.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def certificate(self):
        """Return a new certificate for the loopback address, which is its own CA,
        and its key."""
        if not shutil.which("openssl"):
            apt("openssl")
        cert, key = self.path("tls", "cert.pem"), self.path("tls", "key.pem")
        call(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=localhost",
                "-addext",
                f"subjectAltName=IP:{HOST},DNS:localhost",
                "-keyout",
                key,
                "-out",
                cert,
            ]
        )
        return cert, key

    def spawn(self, name, argv, env=None, end_with=signal.SIGTERM, **kwargs):
        """Start a process, which stop() and the end of the run end with this
        signal."""
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder), **(env or {})}
        if RUN in os.environ:
            env[SERVER_OF] = os.environ[RUN]
        with open(self.path("log", name), "ab") as log:
            child = subprocess.Popen(
                [str(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=env,
                **kwargs,
            )
        self.note(child.pid, end_with, name)
        note(child.pid, end_with, name)
        return child

    def note(self, pid, end_with, name):
        """Let stop() end this process."""
        with self._pids.open("a") as pids:
            print(pid, _birth(pid), int(end_with), name, file=pids)

    def _started(self):
        if not self._pids.exists():
            return []
        return [line.split() for line in self._pids.read_text().splitlines()]

    def running(self):
        return [process for process in self._started() if _birth(process[0]) == process[1]]

    def whole(self):
        """Return whether the server was started and all its processes run."""
        return self.settings.exists() and self.running() == self._started()

    def wait(self, ready, seconds=60):
        """Wait until ready() is true, and fail if a process ends before that."""
        end = time.monotonic() + seconds
        while not ready():
            alive = [name for *_, name in self.running()]
            dead = [name for *_, name in self._started() if name not in alive]
            if dead or time.monotonic() > end:
                raise Failed(
                    "\n".join(
                        f"{name} {'ended' if dead else 'is not ready'}:\n"
                        + self.path("log", name).read_text()[-3000:]
                        for name in dead or alive
                    )
                )
            time.sleep(0.05)

    def stop(self, seconds=10):
        """End the processes that spawn() started, newest first, and no others."""
        for pid, birth, end_with, _ in reversed(self.running()):
            # Another process may stop it at the same time.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), int(end_with))
            if not _gone(pid, birth, seconds):
                os.killpg(int(pid), signal.SIGKILL)
                _gone(pid, birth, seconds)
        shutil.rmtree(self.folder, ignore_errors=True)


def listening(*ports):
    def ready():
        for port in ports:
            with socket.socket() as s:
                if s.connect_ex((HOST, port)):
                    return False
        return True

    return ready


def answers(url):
    """Return whether a GET request of the URL succeeds."""

    def ready():
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except OSError:
            return False

    return ready


# -------------------------------------------------------------------- ending


@contextlib.contextmanager
def run_folder(parent=None):
    """Make this process a run with a new folder below `parent`, for the block.
    All that is started in the block ends with it. If this process is killed
    before that, watcher.py ends it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="calotype-run-", dir=parent))
    folder.chmod(0o711)
    watcher = subprocess.Popen(
        # -S: installed code, such as coverage, must not run in it.
        [sys.executable, "-S", "-B", HERE / "watcher.py", str(os.getpid()), folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=_without_run(),
    )
    around = os.environ.get(RUN)
    os.environ[RUN] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[RUN]
        if around:
            os.environ[RUN] = around
        end_run(folder)
        watcher.kill()
        watcher.wait()


def note(pid, end_with, name):
    """Let the end of the run, if there is one, end this process."""
    if RUN in os.environ:
        Server(os.environ[RUN]).note(pid, end_with, name)


def end_run(folder):
    """End all that the run of this folder has started, and remove the folder."""
    # First the processes that could start servers.
    _kill(f"{RUN}={folder}")
    Server(folder).stop()
    # Then processes that a server left, or that were not noted in time.
    _kill(f"{SERVER_OF}={folder}")


def _without_run():
    return {name: value for name, value in os.environ.items() if name != RUN}


def _kill(variable, seconds=30):
    """Kill the processes that were started with this variable, and those that
    they start meanwhile."""
    end = time.monotonic() + seconds
    while (pids := _started_with(variable)) and time.monotonic() < end:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _started_with(variable):
    found = []
    for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
        # The process has ended meanwhile, or belongs to another user.
        with contextlib.suppress(OSError):
            if os.fsencode(variable) in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


# --------------------------------------------------------------- the command


def _started(name, server, start):
    """Return the settings of the server, which is started if it does not run."""
    with _locked(f"start-{name}"):
        if not server.whole():
            server.stop()
            server.made().chmod(0o711)
            try:
                values = start(server)
            except BaseException:
                server.stop()
                raise
            server.path("settings", text="".join(f"{key}={value}\n" for key, value in values.items()))
        return server.settings.read_text()


def main(start):
    """Run the command line. start(server) starts the server and returns a dict."""
    name = pathlib.Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog=name,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=sys.modules["__main__"].__doc__,
        epilog=__doc__,
    )
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("dir", nargs="?", default=STATE / name)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: terminated"))
    server = Server(args.dir)
    if args.command == "stop":
        server.stop()
        return
    try:
        sys.stdout.write(_started(name, server, start))
    except Failed as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(error.status)
