"""The fault campaign: kill a server at every point of its work, and check that nothing is lost.

`databases` and `victim` run the server. `strace` kills it, or makes a call fail, at a chosen point.
`clients` send requests, and record in a `ledger` what the responses promised. `verdict` checks whether all
promises were kept. `phases` are the pieces of work that are interrupted. Each kind of fault is a module:
`killing`, `failing` (calls), `severing` (connections to the database, by a `link`), `restarting` (its
server), `clocks`, `freezing`, `migrating`, `rehearsing`, `damaging` (stored copies), `leaving` (stores),
`filling` (disks), `cutting` (resumable uploads, whose client is the program `resuming`).
"""
