"""The HTTP APIs: one package for each dialect, and `http` with everything that they share."""
