# The builder of the binary environment as a container image. Context: this folder. It holds nothing but a POSIX system:
# one with the compiler that a build.sh needs begins with `FROM` this image.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM debian:stable-slim
# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, which is kept, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
