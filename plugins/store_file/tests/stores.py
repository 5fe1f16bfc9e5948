"""Helpers of the file store's tests: a key, stores, and the names of all files in a store."""

from calotype_store_file import FileStore

KEY = "0f3a9c11-5d6e-4f70-8a9b-0c1d2e3f4a5b.1"
MARKER = ".calotype-store"


def file_store(path, name="disk", **options):
    return FileStore(name, FileStore.Options(path=path, **options))


def everything_in(store):
    """All files below the store's directory but the marker."""
    return sorted(
        path.name for path in store.options.path.rglob("*") if not path.is_dir() and path.name != MARKER
    )
