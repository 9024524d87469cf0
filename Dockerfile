# syntax=docker/dockerfile:1
#
# The relay in an image without shell, package manager or build tools: Debian 13 (the native listener needs glibc 2.38),
# user 65532, fit for a read-only root. docs/deploy-eks.md builds it for amd64 and arm64. For a release give both bases
# by digest (--build-arg BUILD_IMAGE=…@sha256:…). Both must have the same major version of Node.js: the binary that is
# kept is the one for its ABI.
ARG BUILD_IMAGE=node:24-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot

# Runs on the machine that builds, whatever the target: everything but one binary is JavaScript.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN node scripts/native-files.mjs
RUN node scripts/bootstrap.mjs build
ARG TARGETARCH=amd64
RUN node scripts/image.mjs /image --arch ${TARGETARCH}

FROM ${BASE_IMAGE} AS relay
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="transcribe-relay" \
      org.opencontainers.image.description="A WebSocket relay to Amazon Transcribe streaming" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# In a container the outside is all there is: without auth (or RELAY_INSECURE) the relay says so and does not start.
ENV NODE_ENV=production \
    RELAY_HOST=0.0.0.0 \
    PATH=/nodejs/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /app
# Owned by root: the relay cannot change its own code.
COPY --from=build --chown=0:0 /image /app
USER 65532:65532
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=6 CMD ["/nodejs/bin/node", "/app/healthcheck.mjs"]
# The process is PID 1 and handles SIGTERM and SIGINT itself; it starts no other process, so there is nothing to reap.
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/cli/main.js"]
CMD ["serve"]
