# The builder of the python-fastapi environment as a container image. Context: the folder `environments`:
#     docker build -f environments/python-fastapi/Dockerfile.builder environments
#
# The program `builder` of Fission's builder image takes the requests and runs `build`.
ARG BUILDER_IMAGE=fission/builder
FROM ${BUILDER_IMAGE} AS builder

# Not the slim one: packages without a wheel need a compiler, those from a repository need git.
FROM python:3.13
COPY --from=builder /builder /builder
COPY --chmod=755 python/build /usr/local/bin/build

ENV HOME=/tmp
EXPOSE 8001
# Any uid will do: what is written is the shared folder's and /tmp's.
USER 65532:0
ENTRYPOINT ["/builder"]
CMD ["/packages"]
