"""The HTTP interface. Each resource has one blueprint, and each view only calls a service."""
