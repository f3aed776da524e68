"""The HTTP interface: one blueprint a resource, a view no longer than it takes to name the verb."""
