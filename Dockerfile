FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p vicinity-server

FROM debian:bookworm-slim
RUN useradd --system --home /var/lib/vicinity --create-home vicinity
COPY --from=build /src/target/release/vicinity /usr/local/bin/vicinity
USER vicinity
VOLUME /var/lib/vicinity
EXPOSE 5432
STOPSIGNAL SIGTERM
ENTRYPOINT ["vicinity"]
CMD ["serve", "--listen", "0.0.0.0:5432", "--data", "/var/lib/vicinity/data"]
