# The builder of the php environment as a container image. Context: this folder. PHP and its extensions are those of the
# environment's image, so composer accepts what will run there.
ARG BUILDER=fission/builder
FROM ${BUILDER} AS builder
FROM composer:2 AS composer

FROM php:8.4-cli
RUN docker-php-ext-install pcntl sockets opcache
RUN apt-get update && apt-get install --yes --no-install-recommends git unzip && rm -rf /var/lib/apt/lists/*
COPY --from=composer /usr/bin/composer /usr/local/bin/composer
# Answers on port 8001 and runs /usr/local/bin/build.
COPY --from=builder /builder /builder
COPY --chmod=755 build /usr/local/bin/build
# Any uid in group 0 will do: it writes to its home, where packages are kept, and to /packages.
RUN install -d -m 775 /home/builder /packages
ENV HOME=/home/builder
EXPOSE 8001
USER 65532:0
ENTRYPOINT ["/builder", "/packages"]
