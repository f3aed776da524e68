"""The verbs: what this gateway does, free of HTTP and of who calls it."""
