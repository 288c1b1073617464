# carepost as an image: one binary, no compiler, no root.
#
#   docker build -t carepost .
#   docker run --rm -v carepost:/var/lib/carepost carepost init --domain direct.example.org --hostname mail.example.org
#   docker run -d -v carepost:/var/lib/carepost -v carepost-mail:/var/mail/direct -p 25:25 -p 587:587 carepost
#
# Keep a copy of the volume's `kek` elsewhere: without it nothing in the volume can be read.

FROM rust:1.95-bookworm AS builder
# What building OpenSSL from source needs beside the C compiler.
RUN apt-get update \
 && apt-get install -y --no-install-recommends make perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The image is the pinned compiler; rust-toolchain.toml would fetch clippy and rustfmt too.
COPY Cargo.toml Cargo.lock ./
COPY migrations ./migrations
COPY src ./src
# Cargo wants every target of the manifest to be there, built or not.
COPY tests ./tests
RUN cargo build --locked --release --no-default-features --features vendored-openssl

FROM debian:bookworm-slim
# Roots that verify the mail systems of clinics; the file capability lets a plain user bind ports 25 and 587.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libcap2-bin \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 990 --home-dir /var/lib/carepost --shell /usr/sbin/nologin carepost \
 && install -d -o carepost -g carepost -m 0700 /var/lib/carepost \
 && install -d -o carepost -g carepost -m 0750 /var/mail/direct
COPY --from=builder /build/target/release/carepost /usr/local/bin/carepost
RUN setcap cap_net_bind_service=+ep /usr/local/bin/carepost

USER carepost
ENV CAREPOST_CONFIG=/var/lib/carepost/carepost.toml
# Store, keys and configuration; and the maildirs of routes such as maildir:/var/mail/direct/NAME.
VOLUME ["/var/lib/carepost", "/var/mail/direct"]
EXPOSE 25 587
# SIGTERM finishes what was begun.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=20s CMD ["carepost", "health"]
ENTRYPOINT ["carepost"]
CMD ["serve"]
