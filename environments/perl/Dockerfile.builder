# The builder of the perl environment as a container image. Context: this folder. Perl is that of the environment's image,
# so compiled modules fit what will load them, and it has the same modules, as only what is missing is installed.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder

FROM perl:5.42
RUN cpanm --notest Dancer2@2.0.1 IO::FDPass@1.3 HTTP::Parser::XS@0.17 && rm -rf ~/.cpanm
# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
