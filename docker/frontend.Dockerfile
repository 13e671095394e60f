# The frontend of the sample: static files behind nginx.
#   docker build --file docker/frontend.Dockerfile --build-arg COMMIT=$(git rev-parse HEAD) .
# Where a proxy has a certificate of its own: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
ARG NODE_IMAGE=node:22.17.0-bookworm-slim
ARG NGINX_IMAGE=nginx:1.28.0-alpine

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY examples/shop/frontend/package.json examples/shop/frontend/package-lock.json ./
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.npm \
    if [ -s /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi \
    && npm ci --no-audit --no-fund
COPY examples/shop/frontend ./
RUN npm run build

FROM ${NGINX_IMAGE}
COPY docker/nginx.conf /etc/shop/nginx.conf
COPY --from=build /app/dist /srv/shop
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=2s --timeout=5s --start-period=10s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/"]
# "-e": until the configuration is read, errors would go to a file, and the root file system is read-only.
ENTRYPOINT []
CMD ["nginx", "-e", "stderr", "-c", "/etc/shop/nginx.conf", "-g", "daemon off;"]
# Last: what stands above stays cached from commit to commit.
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="shop-frontend" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision="${COMMIT}" \
    org.opencontainers.image.version="${COMMIT}"
