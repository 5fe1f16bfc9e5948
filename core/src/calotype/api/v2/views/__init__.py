"""The views of v2, one module for each noun; `documents` has the code that they share."""
