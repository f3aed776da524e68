"""The pages that people open in a browser. They call only the public JSON interface."""
