"""The views of v2, one module for each kind of resource; `documents` has the code that they share."""
