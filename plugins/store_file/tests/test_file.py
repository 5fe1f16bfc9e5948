"""The file store beyond the conformance kit: disks that are full, missing, or manipulated."""

import errno
import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import (
    BadLocation,
    BlobChanged,
    ConfigurationError,
    Misconfigured,
    StoreError,
    Unavailable,
)
from calotype.stores.blob_readers import is_plain_file
from calotype.stores.checked import CheckedStore
from calotype.stores.options import read_options
from calotype.testing import Trickle, pattern, read_all
from calotype_store_file import FileStore
from plugins.store_file.tests.stores import KEY, MARKER, everything_in, file_store

VERBS = {
    "get": lambda store: store.get(f"file:{KEY}"),
    "size": lambda store: store.size(f"file:{KEY}"),
    "add": lambda store: store.add(KEY, Trickle(b"x"), 1),
    "delete": lambda store: store.delete(f"file:{KEY}"),
    "discard": lambda store: store.discard(KEY),
    "blobs": lambda store: list(store.blobs()),
    "attempts": lambda store: list(store.attempts()),
    "check": lambda store: store.check(),
}


# Where images lie.


@pytest.mark.parametrize(("file_mode", "dir_mode"), [("0600", "0700"), ("0640", "0750")])
def test_an_image_is_in_the_folder_of_its_key_with_the_configured_permissions(tmp_path, file_mode, dir_mode):
    store = file_store(tmp_path / "images", file_mode=file_mode, dir_mode=dir_mode)
    store.create()
    store.add(KEY, Trickle(b"x"), 1)
    blob = tmp_path / "images" / "0f" / KEY

    assert stat.S_IMODE(blob.stat().st_mode) == int(file_mode, 8)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in list(blob.parents)[:2]} == {int(dir_mode, 8)}


def test_a_reader_is_a_plain_file_at_the_offset(store, blob):
    with store.get(f"file:{KEY}", 100) as reader:
        assert is_plain_file(reader)
        assert reader.tell() == 100


def test_blocks_of_zeros_occupy_no_space_on_disk(store):
    image = pattern(5) + bytes(8 << 20) + pattern(5) + bytes(4 << 20)
    with open(store.options.path.parent / "image", "w+b") as source:
        source.write(image)
        source.seek(0)
        location = store.add(KEY, source, len(image)).location
    blob = store.options.path / "0f" / KEY

    assert read_all(store.get(location), limit=len(image)) == image
    assert blob.stat().st_blocks * 512 < 6 << 20


@pytest.mark.parametrize("mode", [{"file_mode": "0666"}, {"file_mode": "0640x"}, {"dir_mode": "0770"}])
def test_write_permission_for_others_cannot_be_configured(mode, tmp_path):
    with pytest.raises(ConfigurationError, match=r"option (file|dir)_mode"):
        read_options("disk", FileStore.Options, {"path": str(tmp_path), **mode})


def test_a_proxy_gets_the_path_of_the_image_relative_to_the_stores_directory(store, blob):
    path = store.file_path(f"file:{KEY}")

    assert path == f"0f/{KEY}"
    assert (store.options.path / path).read_bytes() == pattern(1000)


@pytest.mark.parametrize("key", ["../../x", "/etc/x", "a/b", "", ".incoming-x", "a\n", "a" * 300])
@pytest.mark.parametrize("verb", ["add", "discard"])
def test_a_key_that_the_core_would_not_make_never_becomes_a_path(store, key, verb):
    with pytest.raises(BadLocation):
        store.add(key, Trickle(b"x"), 1) if verb == "add" else store.discard(key)

    assert everything_in(store) == []


@pytest.mark.parametrize(
    "verb",
    [FileStore.get, FileStore.size, FileStore.delete, FileStore.file_path],
    ids=lambda verb: verb.__name__,
)
def test_a_location_in_the_database_that_is_a_path_leads_to_no_file(store, tmp_path, verb):
    """The folder of this key would be `//`, the root of the file system."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    for path in (f"../../..{outside}", str(outside), f"//{outside}", "../outside"):
        with pytest.raises(BadLocation):
            verb(store, f"file:{path}")
        with pytest.raises(BadLocation):
            verb(store, path)
    assert outside.read_bytes() == b"secret"


# Durability.


def test_the_file_is_on_disk_before_it_has_a_name_and_its_folders_before_add_returns(store, monkeypatch):
    steps, really_sync, really_link = [], os.fsync, os.link

    def sync(descriptor):
        really_sync(descriptor)
        status = os.fstat(descriptor)
        root = os.path.samestat(status, os.stat(store.options.path))
        steps.append("root" if root else "folder" if stat.S_ISDIR(status.st_mode) else "file")

    def link(*args, **kwargs):
        really_link(*args, **kwargs)
        steps.append("link")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    store.add(KEY, Trickle(b"x"), 1)

    assert [step for step in steps if step != "file"] == ["link", "folder", "root"]
    assert steps[steps.index("link") - 1] == "file"
    steps.clear()
    store.add(f"{KEY}.1", Trickle(b"x"), 1)

    assert steps == ["file", "link", "folder"]


def test_an_image_whose_folder_cannot_be_synced_is_removed(store, monkeypatch):
    really_sync = os.fsync

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really_sync(descriptor)

    store.add("a", Trickle(b"the marker is written"), None)
    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(Unavailable):
        store.add(KEY, Trickle(b"x"), 1)

    assert everything_in(store) == ["a"]


KILLED = """
import errno, os, sys
from calotype.testing import pattern
from calotype_store_file import FileStore

named, really_open = sys.argv[2] == "named", os.open
def refuse(path, flags, *args, **kwargs):
    if named and flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "no")
    return really_open(path, flags, *args, **kwargs)
os.open = refuse

class Told:
    def read(self, size=-1):
        print("give", flush=True)
        return pattern(100_000) if sys.stdin.readline() == "more\\n" else b""

FileStore("disk", FileStore.Options(path=sys.argv[1])).add(sys.argv[3], Told())
"""


@pytest.mark.parametrize("blocks", [0, 1, 15])
@pytest.mark.parametrize("way", ["unnamed", "named"])
def test_a_process_killed_while_it_writes_leaves_no_image(store, way, blocks):
    command = [sys.executable, "-c", KILLED, str(store.options.path), way, KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        for _ in range(blocks):
            assert writer.stdout.readline() == "give\n"
            writer.stdin.write("more\n")
            writer.stdin.flush()
        assert writer.stdout.readline() == "give\n"
        writer.kill()
    left = [attempt.location for attempt in store.attempts()]

    assert list(store.blobs()) == []
    assert left == ([KEY] if way == "named" else [])
    store.discard(KEY)
    assert everything_in(store) == []


def test_a_temporary_file_of_unknown_origin_is_an_attempt_without_a_key(store):
    (store.options.path / ".incoming-what").write_bytes(b"12345")

    assert [(attempt.location, attempt.size) for attempt in store.attempts()] == [("", 5)]


def test_a_discard_leaves_the_attempts_of_other_keys(store):
    for key in ("a", "a.1", "a-b"):
        (store.options.path / f".incoming-{key}~00ff").write_bytes(b"x")
    store.discard("a")

    assert everything_in(store) == [".incoming-a-b~00ff", ".incoming-a.1~00ff"]


# The marker.


@pytest.mark.parametrize("verb", VERBS)
def test_a_directory_without_the_marker_is_an_error_and_not_an_empty_store(store, blob, verb):
    (store.options.path / MARKER).unlink()
    before = everything_in(store)
    with pytest.raises(Unavailable, match="is its disk mounted"):
        VERBS[verb](store)

    assert everything_in(store) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_directory_that_disappears_is_an_error_and_is_not_created_again(store, blob, verb):
    store.options.path.rename(store.options.path.parent / "elsewhere")
    with pytest.raises(Misconfigured, match="does not exist"):
        VERBS[verb](store)

    assert not store.options.path.exists()


def test_create_makes_the_directory_and_its_parents(tmp_path):
    store = file_store(tmp_path / "a" / "b" / "images")
    store.create()
    store.check()

    assert (tmp_path / "a" / "b" / "images" / MARKER).read_text() == "disk\n"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["images"]


def test_concurrent_creates_all_succeed(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: file_store(tmp_path / "images").create(), range(16)))

    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_create_refuses_a_directory_with_files_of_others(tmp_path):
    (tmp_path / "somebody.txt").write_text("x")
    with pytest.raises(Misconfigured, match=r"touch \.calotype-store"):
        file_store(tmp_path).create()

    assert [path.name for path in tmp_path.iterdir()] == ["somebody.txt"]


def test_create_marks_an_empty_directory(tmp_path):
    store = file_store(tmp_path)
    store.create()
    store.check()

    assert (tmp_path / MARKER).read_text() == "disk\n"


def test_create_leaves_no_marker_in_a_directory_that_it_refuses(tmp_path):
    tmp_path.chmod(0o770)
    with pytest.raises(Misconfigured, match="chmod go-w"):
        file_store(tmp_path).create()

    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_another_store_is_refused_with_the_name_of_that_store_for_operators(store):
    with pytest.raises(Misconfigured) as caught:
        file_store(store.options.path, name="other").check()

    assert caught.value.reason == "its directory belongs to another store"
    assert caught.value.remedy.startswith(f", which is {store.name!r}, as {MARKER} in it says: ")


@pytest.mark.parametrize("adopt", [lambda store: store.create(), lambda store: store.add(KEY, Trickle(b"x"))])
def test_an_empty_marker_is_completed(tmp_path, adopt):
    (tmp_path / MARKER).touch()
    store = file_store(tmp_path)
    store.check()
    adopt(store)

    assert (tmp_path / MARKER).read_text() == "disk\n"


@pytest.mark.parametrize("verb", VERBS)
def test_two_stores_do_not_share_a_directory(store, blob, verb):
    with pytest.raises(Misconfigured, match="belongs to another store"):
        VERBS[verb](file_store(store.options.path, name="other"))

    assert everything_in(store) == [KEY]


# Tampering.


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_write_is_refused(store, mode):
    store.options.path.chmod(mode)
    with pytest.raises(Misconfigured, match="chmod go-w"):
        store.check()


def test_a_directory_that_is_a_link_is_refused(store, tmp_path):
    (tmp_path / "link").symlink_to(store.options.path)
    with pytest.raises(Unavailable):
        file_store(tmp_path / "link").check()


@pytest.mark.parametrize(
    "put",
    [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, lambda path: path.mkdir()],
    ids=["link", "fifo", "folder"],
)
@pytest.mark.parametrize("verb", ["get", "size"])
def test_only_regular_files_are_read(store, blob, put, verb):
    blob.unlink()
    put(blob)
    with pytest.raises(BlobChanged, match="not a regular file"):
        VERBS[verb](store)
    assert list(store.blobs()) == []


def test_a_folder_that_is_a_link_is_not_followed(store, blob, tmp_path):
    blob.parent.rename(tmp_path / "elsewhere")
    blob.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        store.get(f"file:{KEY}")


def test_a_shortened_image_is_noticed_before_its_first_byte(store, blob):
    os.truncate(blob, 999)
    with pytest.raises(BlobChanged):
        CheckedStore(store).get(f"file:{KEY}", size=1000)


# Errors.


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE])
def test_a_failing_disk_makes_the_store_unavailable_and_names_no_path(store, monkeypatch, code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code), str(store.options.path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fail)
        with pytest.raises(Unavailable, match=re.escape(os.strerror(code))) as caught:
            store.add(KEY, Trickle(b"x"), 1)

    assert str(store.options.path.parent) not in str(caught.value)
    assert isinstance(caught.value, Misconfigured) == (code == errno.EACCES)  # r1-E2
    assert ("the user that the service runs as must own it" in str(caught.value)) == (code == errno.EACCES)
    assert everything_in(store) == []


def test_no_error_of_a_missing_directory_names_it(tmp_path):
    store = file_store(tmp_path / "nowhere")
    for call in VERBS.values():
        with pytest.raises(StoreError) as caught:
            call(store)
        assert "nowhere" not in str(caught.value)


def test_two_uploads_of_one_key_do_not_share_a_temporary_file(store, without_unnamed_files):
    seen = []

    class Looking(Trickle):
        def read(self, size=-1, /):
            seen.append(everything_in(store))
            return super().read(size)

    store.add(KEY, Looking(b"x"), 1)

    assert len(seen[0]) == 1
    assert seen[0][0].startswith(f".incoming-{KEY}~")
    assert everything_in(store) == [KEY]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("unnamed", [True, False], ids=["unnamed", "named"])
def test_an_image_that_root_adds_belongs_to_the_owner_of_the_store(store, request, unnamed):
    if not unnamed:
        request.getfixturevalue("without_unnamed_files")
    os.chown(store.options.path, 1234, 1235)

    store.add(KEY, Trickle(b"x"), 1)

    folder = store.options.path / "0f"
    for path in (folder, folder / KEY):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
