# Stage 1: a static binary.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags "-s -w -X main.version=${VERSION}" -o /out/pargo ./cmd/pargo \
 && mkdir -p /out/data

# Stage 2: the binary, certificates for TLS to databases, and nothing else.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/pargo /pargo
COPY --from=build --chown=65532:65532 /out/data /data
COPY schema.json /schema.json
USER 65532:65532
ENV PARSE_SERVER_DATA_DIR=/data \
    PARSE_SERVER_SCHEMA=/schema.json \
    PARSE_SERVER_START_LIVE_QUERY_SERVER=true
VOLUME /data
EXPOSE 1337
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/pargo", "health"]
ENTRYPOINT ["/pargo"]
CMD ["serve"]
