"""The verbs on images and on their sharing. This package contains no HTTP and no SQL."""
