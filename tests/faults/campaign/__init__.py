"""The fault campaign: a server is killed at every point of what it does, and nothing may be lost.

`databases` and `victim` run the server; `strace` kills it, or lets a call fail, where one
wants it to; `clients` speak to it and write down in a `ledger` what they were promised;
`verdict` sees whether all promises were kept; `phases` says what is walked through. Each kind of
fault is a module: `killing`, `failing` (calls), `severing` (connections to the database, by a
`link`), `restarting` (its server), `clocks`, `freezing`, `migrating`,
`rehearsing`, `damaging` (stored copies), `leaving` (stores), `filling` (disks).
"""
