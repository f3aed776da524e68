"""The files of `deploy/`, without a container engine."""
