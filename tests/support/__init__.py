"""Helpers for several folders of tests and for the benchmarks:

| module | holds |
| --- | --- |
| server | a running service in a process of its own, and requests to it |
| forked, preloaded | processes of `pserve` and `calotype-manage` that start quickly |
| ini | ini files that are calotype.ini with some changes |
| answers, wire | responses; HTTP as the bytes on a connection |
| callers | tokens, and clients that send them |
| v1, v2 | clients of Images v1 and v2, and a server for those of v2 |
| web | a web server that images are fetched from, and its pages |
| database | empty databases on SQLite, PostgreSQL and MariaDB |
| workbench | a service without HTTP, over a database and a store in memory |
| rights | every kind of caller, with the rights of each |
| disks | small disks, which fill up quickly |
| debian, opaque | files of Debian packages; small files that begin like real disks and kernels |
| distributions, environment | drivers that tests write; virtual environments with wheels of this checkout |
| waiting | waits for events in other threads, processes or servers |
| pages, results | the blocks of documentation pages; the pages of docs/results |
"""
