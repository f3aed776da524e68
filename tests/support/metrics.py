"""Reads the values that ``/metrics`` exposes."""

from flask.testing import FlaskClient


def parse(exposition: str) -> dict[str, float]:
    """Return the value of each metric, keyed by its name and labels."""
    found = (line.rsplit(" ", 1) for line in exposition.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in found}


def scrape(client: FlaskClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return parse(answer.get_data(as_text=True))
