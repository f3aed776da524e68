"""The Billing and Usage page, which runs in a browser and calls only the public JSON interface."""
