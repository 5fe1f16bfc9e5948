"""HTTP: connections, authentication, retries, and the translation of answers into errors."""
