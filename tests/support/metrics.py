"""What `/metrics` says."""

from flask.testing import FlaskClient


def parse(exposition: str) -> dict[str, float]:
    """Metric with its labels -> value."""
    found = (line.rsplit(" ", 1) for line in exposition.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in found}


def scrape(client: FlaskClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return parse(answer.get_data(as_text=True))
