# The backend and the worker of the sample: one image, two commands.
#   docker build --file docker/backend.Dockerfile --build-arg COMMIT=$(git rev-parse HEAD) .
# Where a proxy has a certificate of its own: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
COPY examples/shop/backend/requirements.txt /tmp/requirements.txt
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && python3 -m venv /app/venv \
    && /app/venv/bin/pip install --disable-pip-version-check --require-hashes -r /tmp/requirements.txt \
    && /app/venv/bin/pip uninstall --yes pip setuptools
COPY examples/shop/backend /app
RUN python3 -m compileall -q /app/shop /app/migrations

FROM ${PYTHON_IMAGE}
COPY --from=build /app /app
ENV PATH=/app/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=2s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "from urllib.request import urlopen as ask; ask('http://127.0.0.1:8000/health/ready', timeout=4)"]
CMD ["uvicorn", "shop.app:app", "--host", "0.0.0.0", "--port", "8000"]
# Last: what stands above stays cached from commit to commit.
ARG COMMIT=unknown
ENV APP_VERSION=${COMMIT}
LABEL org.opencontainers.image.title="shop-backend" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision="${COMMIT}" \
    org.opencontainers.image.version="${COMMIT}"
