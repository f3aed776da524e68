"""The invoices of an organization: listing them and paying an open one."""
