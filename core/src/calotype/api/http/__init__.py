"""The parts that all dialects share: resources, errors, headers, bodies, JSON, paging, metrics."""
