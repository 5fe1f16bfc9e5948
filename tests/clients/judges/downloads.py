"""Programs that fetch and mirror files, each tried with every URL of an image's bytes."""

from __future__ import annotations

from pathlib import Path

from tests.clients.judges.judging import Verdict, run


def fetch(program: str, urls: list[str], data: bytes, folder: Path) -> Verdict:
    """Let a program fetch each URL, and compare the file that it wrote with the image."""
    passed: list[str] = []
    failed: dict[str, str] = {}
    (folder / "seed").write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 5000 :])
    for url in urls:
        wrote = folder / "fetched"
        wrote.unlink(missing_ok=True)
        try:
            for argv in _commands(program, url, wrote, folder, data):
                run(*argv, folder=folder)
            assert wrote.read_bytes() == data, "it wrote other bytes"
        except (AssertionError, OSError) as error:
            failed[url] = str(error)[-2000:]
        else:
            passed.append(url)
    verdict = Verdict(f"{program} {version(program, folder)}", passed, failed)
    print(verdict.row(), *failed.values(), sep="\n")
    return verdict


def version(program: str, folder: Path) -> str:
    """Return the version of the installed Debian package with the program."""
    package = {"aria2c": "aria2", "h2load": "nghttp2-client"}.get(program, program)
    found = run("dpkg-query", "-Wf", "${Version}", package, folder=folder)
    return found.partition("+")[0].partition("-")[0]


def _commands(program: str, url: str, wrote: Path, folder: Path, data: bytes) -> list[list[object]]:
    if program == "aria2c":
        return [["aria2c", "-q", "-x4", "-s4", "-k1M", "-d", wrote.parent, "-o", wrote.name, url]]
    if program == "axel":
        return [["axel", "-q", "-n", "4", "-o", wrote, url]]
    if program == "wget":
        return [
            ["wget", "-nv", "--spider", url],
            ["sh", "-c", f"head -c 5000 {folder}/seed > {wrote}"],
            ["wget", "-nv", "-c", "-O", wrote, url],
        ]
    if program == "rclone":
        return [["rclone", "--config", folder / "rclone.conf", "copyurl", url, wrote]]
    # zsync fetches only the bytes in the middle that the seed lacks.
    (folder / "whole").write_bytes(data)
    return [
        ["zsyncmake", "-q", "-u", url, "-f", wrote.name, "-o", folder / "x.zsync", folder / "whole"],
        ["zsync", "-q", "-i", folder / "seed", "-o", wrote, folder / "x.zsync"],
    ]
