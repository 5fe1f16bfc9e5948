"""Read an ini file into typed settings: one reader, one syntax, one kind of message."""
