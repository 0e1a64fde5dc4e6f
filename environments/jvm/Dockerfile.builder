# The builder of the jvm environment as a container image. Context: this folder. The same server as in the environment's
# image compiles, so classes never meet another version of it.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM maven:3.9-eclipse-temurin-25
WORKDIR /environment
COPY make.sh start ./
COPY api ./api
COPY server ./server
COPY spring ./spring
COPY warm ./warm
RUN sh make.sh "$(command -v java)" && rm -rf ~/.m2

# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, where Maven keeps what it fetched, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder LANG=C.UTF-8
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
