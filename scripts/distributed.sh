# The services apart, two of each and a stats-collector, on engines of their own; sourced by scripts/start. After lib.sh.
# shellcheck shell=bash
. "$root/scripts/engines.sh"

services=()
folder=''

# shellcheck disable=SC2317 # called by trap
stop_distributed() {
  local status=$?
  trap - EXIT INT TERM
  [ "${#services[@]}" = 0 ] || kill "${services[@]}" 2>/dev/null || true
  wait "${services[@]}" 2>/dev/null || true
  stop_engines
  [ -z "$folder" ] || rm -rf "$folder"
  exit "$status"
}

# service <name> <program> [KEY=VALUE]...: starts it, and keeps its log.
service() {
  local name="$1" program="$2"
  shift 2
  env "${@/#/STREAMR__}" "$target/release/$program" >"$folder/$name.log" 2>&1 &
  services+=("$!")
}

ready() {
  local name="$1" port="$2" tries=0
  until curl -fs "http://127.0.0.1:$port/health/ready" >/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 150 ] || fail "$name is not ready: $(tail -n 5 "$folder/$name.log")"
    sleep 0.2
  done
}

run_distributed() {
  (
    cd "$root"
    cargo xtask web
    cargo build --quiet --release --workspace --bins --exclude xtask
  )
  need curl curl
  trap stop_distributed EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  start_engines
  folder="$(mktemp -d /tmp/streamr-distributed.XXXXXX)"
  export STREAMR__DATA_DIR="$folder/data"
  export STREAMR__DATABASE__URL="$postgres_url" STREAMR__CACHE__URL="$redis_url" STREAMR__BUS__URL="$rabbitmq_url"
  export STREAMR__COORDINATOR__ADDRESS=http://127.0.0.1:9000,http://127.0.0.1:9010
  STREAMR__SECRET_KEY="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
  STREAMR__SERVICE_TOKEN="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
  export STREAMR__SECRET_KEY STREAMR__SERVICE_TOKEN
  service coordinator-1 streamr-coordinator
  ready coordinator-1 9100
  service coordinator-2 streamr-coordinator COORDINATOR__BIND=0.0.0.0:8001 \
    COORDINATOR__GRPC_BIND=127.0.0.1:9010 COORDINATOR__STUN_BIND=0.0.0.0:3479 \
    COORDINATOR__OPS_BIND=127.0.0.1:9110
  service ingest-1 streamr-ingest
  service ingest-2 streamr-ingest INGEST__BIND=0.0.0.0:1945 INGEST__TLS_BIND=0.0.0.0:1946 \
    INGEST__GRPC_BIND=127.0.0.1:9011 INGEST__OPS_BIND=127.0.0.1:9111
  service origin-1 streamr-packager PACKAGER__ROLES=origin
  service origin-2 streamr-packager PACKAGER__ROLES=origin \
    PACKAGER__GRPC_BIND=127.0.0.1:9012 PACKAGER__OPS_BIND=127.0.0.1:9112
  service edge-1 streamr-packager PACKAGER__ROLES=edge PACKAGER__OPS_BIND=127.0.0.1:9103 \
    PACKAGER__PUBLIC_URL=http://localhost:8080
  service edge-2 streamr-packager PACKAGER__ROLES=edge PACKAGER__OPS_BIND=127.0.0.1:9113 \
    PACKAGER__BIND=0.0.0.0:8081 PACKAGER__PUBLIC_URL=http://localhost:8081
  service stats-collector streamr-stats-collector
  ready coordinator-2 9110
  ready ingest-1 9101
  ready ingest-2 9111
  ready origin-1 9102
  ready origin-2 9112
  ready edge-1 9103
  ready edge-2 9113
  ready stats-collector 9104
  local key link
  key="$("$target/release/streamr" key live | tail -n 1)"
  link="$("$target/release/streamr" admin setup-link | grep -o 'http[^ ]*' | head -n 1)"
  cat >&2 <<TEXT

Two of each service run and a stats-collector, on a PostgreSQL, a Redis and a RabbitMQ of their own.

  make your account   $link
  pages               http://localhost:8000   http://localhost:8001
  publish             scripts/publish-demo $key
                      (or STREAMR_RTMP_URL=rtmp://127.0.0.1:1945/live)
  watch               http://localhost:8000/watch/live
                      http://localhost:8080/live/live/index.m3u8   http://localhost:8081/live/live/index.m3u8
  health, metrics     http://127.0.0.1:9100 9110 (coordinators) 9101 9111 (ingests)
                      9102 9112 (origins) 9103 9113 (edges) 9104 (stats-collector)
  logs                $folder

Kill what you like: kill -9 of any of them leaves the stream playing. Interrupt to stop everything.
TEXT
  # One that ends is told of; the others go on, which is what this is for.
  local ended
  while [ "${#services[@]}" -gt 0 ]; do
    wait -n -p ended "${services[@]}" || say "process $ended ended"
    local left=() each
    for each in "${services[@]}"; do
      [ "$each" = "${ended:-}" ] || left+=("$each")
    done
    services=("${left[@]}")
  done
}
