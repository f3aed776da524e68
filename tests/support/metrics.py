"""Reads the values of the metrics."""

from gateway.endpoints.metrics import render
from gateway.services.runtime import Gateway


def parse(exposition: str) -> dict[str, float]:
    """Return the value of each metric, keyed by its name and labels."""
    found = (line.rsplit(" ", 1) for line in exposition.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in found}


def scrape(gateway: Gateway) -> dict[str, float]:
    """Return the metrics as Prometheus would read them."""
    return parse(render(gateway).decode())
