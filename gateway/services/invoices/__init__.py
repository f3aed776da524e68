"""The invoices of an organization. ``listing`` reads them from the mirror, and ``payment`` charges an open one."""
