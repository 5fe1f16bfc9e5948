"""Helpers for several folders of tests and for the benchmarks:

| module | holds |
| --- | --- |
| server | a running service in a process of its own, and requests to it |
| forked, preloaded | processes of `pserve` and `calotype-manage` that start at once |
| ini | ini files that are calotype.ini with some changes |
| answers, wire | a response; what goes over a connection byte by byte |
| callers | tokens, and clients that send them |
| v1, v2 | clients of Images v1 and v2, and a server for those of v2 |
| web | a web server that images are fetched from, and its pages |
| database | empty databases on SQLite, PostgreSQL and MariaDB |
| workbench | a service without HTTP, over a database and a store in memory |
| rights | every kind of caller, and what each may do |
| disks | small disks, which are soon full |
| debian, opaque | files of Debian packages; the first bytes of raw disks and kernels |
| distributions, environment | drivers made on the spot; virtual environments with wheels of this checkout |
| waiting | waits for something that happens elsewhere |
| pages, results | reads pages of the documentation; writes those of docs/results |
"""
