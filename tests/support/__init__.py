"""Running servers for the tests: `pserve` in a process of its own, and clients that speak to its socket."""
