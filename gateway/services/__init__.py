"""The operations of this gateway. They know neither HTTP nor their caller."""
