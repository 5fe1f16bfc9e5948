"""Move bytes: upload attempts, leases, inspection, removal, and jobs that outlive a request. No HTTP."""
