# The gateway's image. One image runs every process: `gateway serve` (the default), `gateway worker`, `gateway migrate`.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE wsgi.py ./
COPY gateway gateway
COPY handlers handlers
COPY schemas schemas
# The lock only constrains, because it also names what the tests and the demo need.
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --constraint requirements.lock .

FROM python:3.12-slim
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1
# Without receivers of notifications, their file is empty. `gateway notifications receivers add` writes it.
RUN useradd --system --uid 10001 --no-create-home gateway \
 && install --directory --owner=gateway --group=gateway /etc/gateway \
 && install --owner=gateway --group=gateway --mode=600 /dev/null /etc/gateway/receivers.toml
USER 10001
WORKDIR /tmp
EXPOSE 8000 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
CMD ["gateway", "serve", "--bind", "0.0.0.0:8000", "--metrics-bind", "0.0.0.0:9464"]
