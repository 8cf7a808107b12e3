#!/usr/bin/env bash
# What ./dev.sh start --aws-local, status, logs, stop and clean ask of a container engine, and that without one they ask the parts, with stubs for all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

STAGE="$(mktemp -d)"
export STAGE
CARGO_TARGET_DIR="$STAGE/target"
export CARGO_TARGET_DIR
unset LOCAL_DYNAMODB_PORT LOCAL_OPENSEARCH_PORT LOCAL_MAIL_PORT APP_API_PORT
end() {
  local pid
  pid="$(head -n 1 "$STAGE/root/.dev/emcrm.pid" 2>/dev/null)" && kill "$pid" 2>/dev/null
  rm -rf "$STAGE"
}
trap end EXIT

mkdir -p "$STAGE/bin" "$STAGE/root/scripts" "$CARGO_TARGET_DIR/debug"
for name in docker cargo; do ln -s "$PWD/tests/deploy/stubs/developer" "$STAGE/bin/$name"; done
ln -s "$PWD/tests/deploy/stubs/developer" "$CARGO_TARGET_DIR/debug/emcrm"
ln -s "$PWD/deploy" "$STAGE/root/deploy"
cp dev.sh "$STAGE/root/"
cp scripts/server.sh scripts/parts.sh "$STAGE/root/scripts/"
# Nothing is fetched, started or asked over a port.
cat >>"$STAGE/root/scripts/parts.sh" <<'EOT'
http_status() { if [[ -f "$STAGE/serves" ]]; then printf 200; fi; }
need_java() { :; }
need_node() { :; }
install_parts() { printf 'install %s\n' "$*" >>"$STAGE/calls"; }
start_part() { printf 'part %s on %s\n' "$1" "$2" >>"$STAGE/calls"; }
wait_part() { :; }
part_port() { case "$1" in dynamodb) echo 18000 ;; opensearch) echo 19200 ;; maildev) echo 11025 ;; esac; }
EOT
: >"$STAGE/containers"
rules=0

# check RULE STATUS SAID [WORD…]: ./dev.sh WORD… ends with STATUS and says SAID, if that is not empty.
check() {
  local rule="$1" status="$2" said="$3" got=0
  shift 3
  : >"$STAGE/calls"
  PATH="$STAGE/bin:$PATH" "$STAGE/root/dev.sh" "$@" >"$STAGE/said" 2>&1 </dev/null || got=$?
  RULE="$rule"
  rules=$((rules + 1))
  [[ "$got" == "$status" ]] || wrong "it ended with $got, not $status"
  [[ -z "$said" ]] || grep -qF -- "$said" "$STAGE/said" || wrong "it did not say: $said"
}

wrong() {
  printf '%s: %s\n' "$RULE" "$*" >&2
  cat "$STAGE/said" "$STAGE/calls" >&2
  exit 1
}
called() { grep -qxF -- "$1" "$STAGE/calls" || wrong "it never called: $1"; }
never_called() { if grep -qE -- "$1" "$STAGE/calls"; then wrong "it called: $1"; fi; }
told() { grep -qxF -- "$1" "$STAGE/serves" || wrong "the server was not told $1 but $(cat "$STAGE/serves")"; }

FILE=deploy/docker/compose.yaml
for name in dynamodb opensearch mail; do grep -q "^  $name:\$" "$FILE" || { printf '%s has no service %s\n' "$FILE" "$name" >&2 && exit 1; }; done
for name in DYNAMODB OPENSEARCH MAIL MAIL_WEB; do grep -qF "\${LOCAL_${name}_PORT:-" "$FILE" || { printf '%s does not read LOCAL_%s_PORT\n' "$FILE" "$name" >&2 && exit 1; }; done

LOCAL_MAIL_PORT=1125 check "an engine runs what the server stands on" 0 "Mail       http://127.0.0.1:1126/" start --aws-local
called "docker compose --file $FILE up --detach --wait dynamodb opensearch mail with 8000 9200 1125 1126"
called "emcrm init-db"
never_called '^(install|part) '
told DB_DYNAMODB_ENDPOINT=http://127.0.0.1:8000
told OPENSEARCH_ENDPOINT=http://127.0.0.1:9200
told MAIL_SMTP_URL=smtp://127.0.0.1:1125

check "the state is asked of the engine too" 0 "/health answers 200" status
called "docker compose --file $FILE ps"
check "a log of the engine is shown" 0 "" logs dynamodb
called "docker compose --file $FILE logs --tail 200 dynamodb"
check "a log of the engine is followed, wherever the option stands" 0 "" logs mail -f
called "docker compose --file $FILE logs --tail 200 --follow mail"
check "the server's own log is a file" 0 "" logs
never_called '^docker'

check "what the server stands on ends with it, and keeps its data" 0 "their data stays in volumes" stop
called "docker compose --file $FILE stop dynamodb opensearch mail"
never_called ' down'
[[ ! -f "$STAGE/serves" ]] || wrong "the server still runs"
check "after that the engine is left alone" 3 "Not running" status
never_called '^docker'

check "an engine that has nothing of it is told nothing when all is cleaned" 0 "Deleted" clean --yes
never_called ' down'
echo 0123456789ab >"$STAGE/containers"
mkdir -p "$STAGE/root/.dev"
check "volumes of earlier containers go too" 0 "Deleted" clean --yes
called "docker compose --file $FILE down --volumes"
check "a running server is cleaned away with all that is below it" 0 "runs, process" start --aws-local
check "a running server is cleaned away with all that is below it" 0 "Deleted" clean --yes
called "docker compose --file $FILE stop dynamodb opensearch mail"
called "docker compose --file $FILE down --volumes"
[[ ! -e "$STAGE/root/.dev" && ! -f "$STAGE/serves" ]] || wrong "something is left"

for without in NO_ENGINE NO_COMPOSE; do
  export "$without=1"
  LOCAL_OPENSEARCH_PORT=9300 check "without an engine the parts are used" 0 "runs, process" start --aws-local
  called "install dynamodb opensearch maildev"
  called "part dynamodb on 8000"
  called "part opensearch on 9300"
  called "part maildev on 1025"
  called "emcrm init-db"
  told DB_DYNAMODB_ENDPOINT=http://127.0.0.1:18000
  told MAIL_SMTP_URL=smtp://127.0.0.1:11025
  never_called '^docker'
  check "without an engine none is asked" 0 "dynamodb does not run" status
  never_called '^docker'
  check "without an engine all is cleaned" 0 "Deleted" clean --yes
  never_called '^docker'
  unset "$without"
done
check "without the option nothing else is asked" 0 "runs, process" start
never_called '^(docker|install|part|emcrm init-db)'
check "without the option the server alone ends" 0 "Stopped, process" stop
never_called '^docker'
printf '  ./dev.sh start --aws-local: %d rules, with stubs\n' "$rules"
