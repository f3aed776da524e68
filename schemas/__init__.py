"""The marshmallow schemas of the JSON interface, and the plain values that they load into."""
