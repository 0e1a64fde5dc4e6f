# The builder of the ruby environment as a container image. Context: this folder. Ruby is that of the environment's image,
# so compiled gems fit what will load them.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM ruby:3.4
# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, where gems are kept, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
