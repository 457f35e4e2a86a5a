# PostgreSQL, Redis and RabbitMQ of our own, in folders of their own, on free ports; sourced, not run.
# What runs on the machine already is not touched. After lib.sh.
# shellcheck shell=bash

work=''
postgres=''
redis=''
rabbitmq=''

# Sets postgres_url, redis_url and rabbitmq_url.
# shellcheck disable=SC2034 # whoever sources this reads them
start_engines() {
  start_postgres
  start_redis
  start_rabbitmq
}

stop_engines() {
  [ -z "$rabbitmq" ] || stop_rabbitmq
  [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
  [ -z "$postgres" ] || as_postgres "$postgres/pg_ctl" stop --pgdata "$work/data" --mode immediate --silent || true
  [ -z "$work" ] || as_root rm -rf "$work"
}

# PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

postgres_programs() {
  find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort -V | tail -n 1
}

# A server of our own in a folder of its own; one that runs already is not touched.
start_postgres() {
  local programs port
  if [ -z "$(postgres_programs)" ]; then
    # The package must not make and start a cluster.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
      as_root mkdir -p /etc/postgresql-common
      echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    install_packages postgresql
  fi
  programs="$(postgres_programs)"
  work="$(mktemp -d /tmp/streamr-test.XXXXXX)"
  [ "$(id -u)" != 0 ] || chown postgres "$work"
  as_postgres "$programs/initdb" --pgdata "$work/data" --username streamr --auth trust --encoding UTF8 --no-sync >/dev/null
  port="$(free_port)"
  as_postgres "$programs/pg_ctl" start --pgdata "$work/data" --wait --silent --log "$work/log" --options \
    "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$work -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300" \
    || fail "PostgreSQL did not start: $(tail -n 5 "$work/log")"
  postgres="$programs"
  postgres_url="postgres://streamr@127.0.0.1:$port/postgres"
}

# The same for Redis; what it holds is gone with it.
start_redis() {
  need redis-server redis-server
  local port tries=0
  port="$(free_port)"
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
  redis=$!
  until [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ]; do
    kill -0 "$redis" 2>/dev/null && [ "$tries" -lt 100 ] || fail "Redis did not start: $(tail -n 5 "$work/redis.log")"
    tries=$((tries + 1))
    sleep 0.1
  done
  redis_url="redis://127.0.0.1:$port/0"
}

# RabbitMQ refuses to run as root, too.
as_rabbitmq() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && runuser -u rabbitmq -- env "${rabbitmq_environment[@]}" "$@")
  else
    env "${rabbitmq_environment[@]}" "$@"
  fi
}

# A node of our own with an epmd of its own; the system's are not touched.
start_rabbitmq() {
  local programs=/usr/lib/rabbitmq/bin port epmd
  [ -x "$programs/rabbitmq-server" ] || install_packages rabbitmq-server
  rabbitmq="$(mktemp -d /tmp/streamr-rabbitmq.XXXXXX)"
  [ "$(id -u)" != 0 ] || chown rabbitmq "$rabbitmq"
  port="$(free_port)"
  epmd="$(free_port)"
  rabbitmq_environment=(
    "HOME=$rabbitmq" "ERL_EPMD_PORT=$epmd" ERL_EPMD_ADDRESS=127.0.0.1
    "RABBITMQ_NODENAME=test$port@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
    "RABBITMQ_NODE_PORT=$port" "RABBITMQ_DIST_PORT=$(free_port)"
    "RABBITMQ_MNESIA_BASE=$rabbitmq/mnesia" "RABBITMQ_LOG_BASE=$rabbitmq/log"
    "RABBITMQ_GENERATED_CONFIG_DIR=$rabbitmq/config"
    "RABBITMQ_CONFIG_FILE=$rabbitmq/none" "RABBITMQ_ENABLED_PLUGINS_FILE=$rabbitmq/plugins"
    "RABBITMQ_PID_FILE=$rabbitmq/pid"
  )
  as_rabbitmq sh -c 'mkdir "$HOME/log" && echo "[]." >"$RABBITMQ_ENABLED_PLUGINS_FILE"'
  # Each quorum queue keeps three files open, and a run of all tests makes hundreds of queues.
  # shellcheck disable=SC2016 # the inner shell's limit
  as_rabbitmq sh -c 'ulimit -n 16384 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$0"' \
    "$programs/rabbitmq-server" >"$rabbitmq/output" 2>&1 &
  as_rabbitmq "$programs/rabbitmqctl" --quiet wait --timeout 90 "$rabbitmq/pid" >/dev/null \
    || fail "RabbitMQ did not start: $(tail -n 5 "$rabbitmq/output")"
  rabbitmq_url="amqp://guest:guest@127.0.0.1:$port/%2f"
}

stop_rabbitmq() {
  as_rabbitmq /usr/lib/rabbitmq/bin/rabbitmqctl --quiet stop "$rabbitmq/pid" >/dev/null 2>&1 || true
  as_rabbitmq epmd -kill >/dev/null 2>&1 || true
  as_root rm -rf "$rabbitmq"
}
