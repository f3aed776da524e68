"""The shapes of the JSON interface: marshmallow schemas, and the plain values they load into."""
