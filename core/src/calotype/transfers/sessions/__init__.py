"""The bytes of upload sessions: chunks that arrive, the parts that are kept, and their assembly."""
