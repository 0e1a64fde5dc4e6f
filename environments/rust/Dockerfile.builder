# The builder of the rust environment as a container image. Context: this folder. The compiler is that of the environment's
# image, so a program meets the same C library.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM rust:1-slim-bookworm
WORKDIR /environment
COPY Cargo.toml Cargo.lock compile ./
COPY sdk ./sdk
COPY warm ./warm
RUN cargo build --release --locked --package warm --target-dir target && sh compile rustc warm/src/main.rs /tmp/warm && rm /tmp/warm

# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, where crates are kept, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
