# The builder of the go environment as a container image. Context: this folder. The same server as in the environment's
# image builds, so a program never meets another version of it.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM golang:1.26-bookworm
WORKDIR /environment
ENV GOCACHE=/environment/cache GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS= GOENV=off GOWORK=off
COPY go.mod *.go ./
COPY serve ./serve
COPY warm ./warm
RUN go build -ldflags="-s -w" -buildvcs=false -o server . && ./server build warm/warm.go /tmp/warm && rm /tmp/warm

# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, where modules are kept, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
