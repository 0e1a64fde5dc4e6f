# The builder of the dotnet environment as a container image. Context: this folder. SDK and server are those of the
# environment's image, so what is built here can be loaded there.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM mcr.microsoft.com/dotnet/sdk:8.0
WORKDIR /environment
COPY make.sh project.targets ./
COPY api ./api
COPY server ./server
COPY warm ./warm
RUN sh make.sh "$(command -v dotnet)" /environment

# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, where packages are kept, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
