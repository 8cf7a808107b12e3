# The server that a developer runs, and what --aws-local stands on: start, stop, restart, status, logs, init-db.
# Sourced by dev.sh, which sets ROOT, DEV and BIN and the functions say and fail; scripts/parts.sh comes before it.
# shellcheck shell=bash

DATA="$DEV/data"
PID_FILE="$DEV/emcrm.pid"
ENV_FILE="$DEV/server.env"                      # what the server was started with besides its folder and port
LOG_FILE="$DEV/emcrm.log"
COMPOSE_MARK="$DEV/compose"                     # there while Docker runs what --aws-local stands on
PORT="${APP_API_PORT:-8080}"

# The id of the server that `start` started, if it still runs. An id that the system gave to another program does not count.
running_pid() {
  local pid
  [[ -f "$PID_FILE" ]] || return 1
  pid="$(head -n 1 "$PID_FILE")"
  [[ "$pid" =~ ^[0-9]+$ && "$(ps -p "$pid" -o comm= 2>/dev/null)" == emcrm ]] || return 1
  printf '%s' "$pid"
}

# The port that the running server was started with.
running_port() {
  sed -n 2p "$PID_FILE"
}

# The status code of GET /health on a port of this machine, or nothing.
health_status() { http_status "$1" /health; }

# Waits until the server with this id answers 200 on /health of this port. Fails when it ends before, or after 2 minutes.
wait_until_healthy() {
  local pid="$1" port="$2" log="$3" tries
  for ((tries = 0; tries < 1200; tries++)); do
    if [[ "$(health_status "$port" || true)" == 200 ]]; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$log" >&2
      fail "the server ended before it answered; its log is $log"
    fi
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  fail "the server did not answer on port $port within 2 minutes; its log is $log"
}

# Asks the process to end and waits. It finishes the requests in hand first, so this can take a while.
end_process() {
  local pid="$1" tries
  kill -TERM "$pid" 2>/dev/null || return 0
  for ((tries = 0; tries < 400; tries++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  say "Process $pid did not end within 40 seconds and is killed. Nothing that was answered is lost."
  kill -KILL "$pid" 2>/dev/null || true
}

# The services of AWS as they run on one machine: data on disk, addresses that a person can remember.
start_aws_local() {
  local dynamodb="${LOCAL_DYNAMODB_PORT:-8000}" opensearch="${LOCAL_OPENSEARCH_PORT:-9200}" mail="${LOCAL_MAIL_PORT:-1025}" part
  if compose_works; then
    # The usual images, where a Docker engine answers.
    LOCAL_DYNAMODB_PORT="$dynamodb" LOCAL_OPENSEARCH_PORT="$opensearch" LOCAL_MAIL_PORT="$mail" LOCAL_MAIL_WEB_PORT=$((mail + 1)) \
      compose up --detach --wait dynamodb opensearch mail
    : >"$COMPOSE_MARK"
    aws_local_env "$dynamodb" "$opensearch" "$mail"
    return
  fi
  need_java
  need_node
  install_parts dynamodb opensearch maildev
  start_part dynamodb "$dynamodb" "$PARTS/data/dynamodb"
  start_part opensearch "$opensearch" "$PARTS/data/opensearch"
  start_part maildev "$mail"
  for part in dynamodb opensearch maildev; do wait_part "$part"; done
  aws_local_env "$(part_port dynamodb)" "$(part_port opensearch)" "$(part_port maildev)"
}

# aws_local_env DYNAMODB OPENSEARCH MAIL: what the server is told, by ports. The page of the mail server is one port further.
aws_local_env() {
  cat >"$ENV_FILE" <<EOT
DB_ENGINE=dynamodb
DB_DYNAMODB_ENDPOINT=http://127.0.0.1:$1
SEARCH_ENGINE=opensearch
OPENSEARCH_ENDPOINT=http://127.0.0.1:$2
MAIL_TRANSPORT=smtp
MAIL_SMTP_URL=smtp://127.0.0.1:$3
MAIL_FROM=EMCRM <events@example.org>
EOT
}

# The port in a line of the server's settings.
env_port() { sed -n "s/^$1=.*:\([0-9]*\)\$/\1/p" "$ENV_FILE"; }

# A Docker engine with compose answers.
compose_works() { command -v docker >/dev/null && docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; }

compose() { docker compose --file "$ROOT/deploy/docker/compose.yaml" "$@"; }

# Becomes a program with the settings of the server that `start` runs.
exec_configured() {
  local settings=() line
  if [[ -f "$ENV_FILE" ]]; then
    while IFS= read -r line; do settings+=("$line"); done <"$ENV_FILE"
  fi
  exec env "${settings[@]}" APP_DATA_DIR="$DATA" APP_API_PORT="$PORT" "$@"
}

configured() { (exec_configured "$@"); }

cmd_start() {
  local pid
  case "${1:-}" in
    "" | --aws-local) ;;
    *) fail "start: unknown option $1; there is only --aws-local" ;;
  esac
  if pid="$(running_pid)"; then
    say "Already running, process $pid: http://127.0.0.1:$(running_port)/"
    return
  fi
  if [[ -n "$(health_status "$PORT" || true)" ]]; then
    fail "something else answers on port $PORT; choose another one: APP_API_PORT=8081 ./dev.sh start"
  fi
  cargo build --locked -p emcrm-server --bin emcrm
  mkdir -p "$DATA"
  rm -f "$ENV_FILE"
  if [[ "${1:-}" == --aws-local ]]; then
    start_aws_local
    configured "$BIN" init-db
  fi
  start_server
}

start_server() {
  local pid
  exec_configured setsid "$BIN" serve >>"$LOG_FILE" 2>&1 </dev/null &
  pid=$!
  printf '%s\n' "$pid" "$PORT" >"$PID_FILE"
  wait_until_healthy "$pid" "$PORT" "$LOG_FILE"
  say "EMCRM runs, process $pid."
  say "  Pages      http://127.0.0.1:$PORT/app"
  say "  API docs   http://127.0.0.1:$PORT/docs"
  say "  Health     http://127.0.0.1:$PORT/health"
  if [[ -f "$ENV_FILE" ]]; then
    say "  Mail       http://127.0.0.1:$(($(env_port MAIL_SMTP_URL) + 1))/   (SMTP on port $(env_port MAIL_SMTP_URL))"
    say "  DynamoDB   http://127.0.0.1:$(env_port DB_DYNAMODB_ENDPOINT)"
    say "  OpenSearch http://127.0.0.1:$(env_port OPENSEARCH_ENDPOINT)"
  else
    say "  Data       $DATA"
  fi
  say "  Log        $LOG_FILE   (./dev.sh logs -f)"
}

cmd_stop() {
  local pid part
  if pid="$(running_pid)"; then
    end_process "$pid"
    say "Stopped, process $pid."
  else
    say "Not running."
  fi
  rm -f "$PID_FILE"
  # What the server stands on comes last.
  if [[ -f "$COMPOSE_MARK" ]]; then
    compose stop dynamodb opensearch mail
    rm -f "$COMPOSE_MARK"
    say "Stopped dynamodb, opensearch and mail; their data stays in volumes."
  fi
  for part in maildev opensearch dynamodb; do
    if part_pid "$part" >/dev/null; then
      stop_part "$part"
      say "Stopped $part."
    fi
  done
}

cmd_restart() {
  local mode=()
  if [[ -f "$ENV_FILE" ]]; then mode=(--aws-local); fi
  cmd_stop
  cmd_start "${mode[@]}"
}

cmd_status() {
  local pid="" port part id
  if pid="$(running_pid)"; then
    port="$(running_port)"
    say "Running, process $pid, /health answers $(health_status "$port" || say nothing) on port $port."
  else
    say "Not running."
  fi
  if [[ -f "$COMPOSE_MARK" ]]; then
    compose ps
    [[ -n "${pid:-}" ]] || return 3
    return
  fi
  for part in dynamodb opensearch maildev; do
    if [[ -f "$ENV_FILE" || -f "$PARTS/run/$part.pid" ]]; then
      if id="$(part_pid "$part")"; then say "$part runs, process $id, port $(part_port "$part")."; else say "$part does not run."; fi
    fi
  done
  [[ -n "${pid:-}" ]] || return 3
}

cmd_logs() {
  local follow=() log="$LOG_FILE" word
  for word in "$@"; do
    case "$word" in
      -f) follow=(-f) ;;
      api) log="$LOG_FILE" ;;
      dynamodb | opensearch | mail)
        if [[ -f "$COMPOSE_MARK" ]]; then
          local service="$word"
          [[ " $* " != *" -f "* ]] || follow=(--follow)
          exec docker compose --file "$ROOT/deploy/docker/compose.yaml" logs --tail 200 "${follow[@]}" "$service"
        fi
        ;;&
      dynamodb | opensearch) log="$PARTS/run/$word.log" ;;
      mail) log="$PARTS/run/maildev.log" ;;
      *) fail "logs: unknown word $word; there are -f, api, dynamodb, opensearch, mail" ;;
    esac
  done
  [[ -f "$log" ]] || fail "there is no log yet; start the server: ./dev.sh start"
  exec tail -n 200 "${follow[@]}" "$log"
}

cmd_init_db() {
  cargo build --locked -p emcrm-server --bin emcrm
  mkdir -p "$DATA"
  configured "$BIN" init-db
  configured "$BIN" doctor
}
