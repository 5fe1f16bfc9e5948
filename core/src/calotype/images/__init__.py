"""The verbs on images and on their sharing. No HTTP, no SQL."""
