"""The bytes of upload sessions: chunks as they arrive, the parts that are kept of them, and their assembly."""
