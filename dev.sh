#!/usr/bin/env bash
# Everything a developer does by name. `./dev.sh help` lists it.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$ROOT"

DEV="$ROOT/.dev"                                # everything this script makes, except the cargo target folder
DATA="$DEV/data"
PID_FILE="$DEV/emcrm.pid"
LOG_FILE="$DEV/emcrm.log"
TOOLS="$DEV/tools"
VENV="$DEV/venv"
BIN="${CARGO_TARGET_DIR:-$ROOT/target}/debug/emcrm"
PORT="${APP_API_PORT:-8080}"

CARGO_DENY_VERSION=0.20.2

# Order matters: what fails fastest comes first, and `build` comes before what uses the binary.
STEPS=(parts fmt clippy build docs deny unused tests schemathesis)

say() { printf '%s\n' "$*"; }
# Something that `test` repeats below its summary.
note() {
  say "$*"
  printf '  %s\n' "$*" >>"$DEV/notes"
}
fail() {
  printf 'dev.sh: %s\n' "$*" >&2
  exit 1
}

# ---------------------------------------------------------------------------------------------------------------- server

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
health_status() {
  local line
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
    IFS= read -r -t 5 line <&3 || return 1
    exec 3>&-
  } 2>/dev/null
  cut -d' ' -f2 <<<"$line"
}

# Waits until the server with this id answers 200 on /health of this port. Fails when it ends before, or after 30 seconds.
wait_until_healthy() {
  local pid="$1" port="$2" log="$3" tries
  for ((tries = 0; tries < 300; tries++)); do
    if [[ "$(health_status "$port" || true)" == 200 ]]; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$log" >&2
      fail "the server ended before it answered; its log is $log"
    fi
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  fail "the server did not answer on port $port within 30 seconds; its log is $log"
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

cmd_start() {
  local pid
  if pid="$(running_pid)"; then
    say "Already running, process $pid: http://127.0.0.1:$(running_port)/"
    return
  fi
  if [[ -n "$(health_status "$PORT" || true)" ]]; then
    fail "something else answers on port $PORT; choose another one: APP_API_PORT=8081 ./dev.sh start"
  fi
  cargo build --locked -p emcrm-server --bin emcrm
  mkdir -p "$DATA"
  APP_DATA_DIR="$DATA" APP_API_PORT="$PORT" setsid "$BIN" serve >>"$LOG_FILE" 2>&1 </dev/null &
  pid=$!
  printf '%s\n' "$pid" "$PORT" >"$PID_FILE"
  wait_until_healthy "$pid" "$PORT" "$LOG_FILE"
  say "EMCRM runs, process $pid."
  say "  API docs   http://127.0.0.1:$PORT/docs"
  say "  Health     http://127.0.0.1:$PORT/health"
  say "  Data       $DATA"
  say "  Log        $LOG_FILE   (./dev.sh logs -f)"
}

cmd_stop() {
  local pid
  if pid="$(running_pid)"; then
    end_process "$pid"
    say "Stopped, process $pid."
  else
    say "Not running."
  fi
  rm -f "$PID_FILE"
}

cmd_restart() {
  cmd_stop
  cmd_start
}

cmd_status() {
  local pid port
  if pid="$(running_pid)"; then
    port="$(running_port)"
    say "Running, process $pid, /health answers $(health_status "$port" || say nothing) on port $port."
  else
    say "Not running."
    return 3
  fi
}

cmd_logs() {
  [[ -f "$LOG_FILE" ]] || fail "there is no log yet; start the server: ./dev.sh start"
  case "${1:-}" in
    -f) exec tail -n 50 -f "$LOG_FILE" ;;
    "") exec tail -n 200 "$LOG_FILE" ;;
    *) fail "logs: unknown option $1; there is only -f" ;;
  esac
}

cmd_init_db() {
  say "Nothing to prepare: the embedded engine makes its own file in the data folder when the server starts."
  cargo build --locked -p emcrm-server --bin emcrm
  mkdir -p "$DATA"
  APP_DATA_DIR="$DATA" "$BIN" doctor
}

cmd_clean() {
  local answer
  if [[ "${1:-}" != --yes ]]; then
    read -r -p "Stop the server and delete $DEV (data, log, tools)? [y/N] " answer || true
    [[ "${answer:-}" == [yY]* ]] || { say "Nothing was deleted."; return; }
  fi
  cmd_stop
  rm -rf "$DEV"
  say "Deleted $DEV. The cargo target folder stays; cargo clean removes it."
}

# ----------------------------------------------------------------------------------------------------------------- tools

as_root() {
  if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo "$@"; fi
}

# Installs a Debian package that brings a command. RUNLEVEL=1 keeps its daemon from being started.
need_debian() {
  local command="$1" package="$2"
  if find_command "$command" >/dev/null; then return; fi
  command -v apt-get >/dev/null || fail "$command is missing and there is no apt-get here: install what Debian calls $package"
  as_root apt-get update -qq
  as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
  find_command "$command" >/dev/null || fail "$package is installed, but $command is still missing"
}

# Path of a command, also where only root's PATH looks.
find_command() {
  PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1"
}

need_schemathesis() {
  local pins=tests/schemathesis/requirements.txt
  if cmp -s "$pins" "$VENV/pins.txt"; then return; fi
  rm -rf "$VENV"
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
  fi
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check -r "$pins"
  cp "$pins" "$VENV/pins.txt"
}

# Built without optimisation: it runs for two seconds and builds in one minute instead of three.
need_cargo_deny() {
  if "$TOOLS/bin/cargo-deny" --version 2>/dev/null | grep -qF " $CARGO_DENY_VERSION"; then return; fi
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_INCREMENTAL=0 \
    cargo install --quiet --locked cargo-deny --version "$CARGO_DENY_VERSION" --root "$TOOLS" --target-dir "$TOOLS/build"
  rm -rf "$TOOLS/build"
}

# ----------------------------------------------------------------------------------------------------------------- steps

step_parts() {
  need_debian cc build-essential
  need_debian python3 python3
  need_debian ps procps
  need_debian setsid util-linux
  need_debian smtp-sink postfix
  need_schemathesis
  need_cargo_deny
  say "$(find_command smtp-sink)"
  "$VENV/bin/schemathesis" --version
  "$TOOLS/bin/cargo-deny" --version
}

step_fmt() {
  cargo fmt --all -- --check
}

step_clippy() {
  cargo clippy --locked --workspace --all-targets -- -D warnings
}

# Once for all that follows: the tests and the binary come from the same profile.
step_build() {
  cargo build --locked --workspace --all-targets
}

step_docs() {
  python3 scripts/links.py
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
  step_build
  "$BIN" openapi >"$DEV/openapi.json"
  if ! diff -u docs/openapi.json "$DEV/openapi.json" >"$DEV/openapi.diff"; then
    head -n 60 "$DEV/openapi.diff" >&2
    fail "docs/openapi.json is stale; make it anew: cargo run -q -- openapi > docs/openapi.json"
  fi
}

# Licences, bans and sources need nothing but the crates. Advisories need a database from the network: where it can be had,
# a known hole fails the step; where not, the step says so.
step_deny() {
  need_cargo_deny
  "$TOOLS/bin/cargo-deny" --locked check --hide-inclusion-graph bans licenses sources
  if timeout 60 "$TOOLS/bin/cargo-deny" --locked fetch db >"$DEV/advisories.log" 2>&1; then
    "$TOOLS/bin/cargo-deny" --locked check --disable-fetch advisories
  else
    note "deny: advisories were NOT CHECKED, the advisory database cannot be fetched from here"
  fi
}

step_unused() {
  python3 scripts/unused_dependencies.py
}

step_tests() {
  local sink
  sink="$(find_command smtp-sink)" || fail "smtp-sink is missing; run ./dev.sh test parts"
  EMCRM_SMTP_SINK="$sink" cargo test --locked --workspace --no-fail-fast
}

step_schemathesis() {
  need_schemathesis
  step_build
  BIN="$BIN" VENV="$VENV" OUT="$DEV/schemathesis" scripts/schemathesis.sh
}

# Runs the steps in order, stops at the first that fails, and says how long each took.
cmd_test() {
  local wanted=("$@") step began total=$SECONDS table="" failed=""
  [[ ${#wanted[@]} -gt 0 ]] || wanted=("${STEPS[@]}")
  for step in "${wanted[@]}"; do
    declare -F "step_$step" >/dev/null || fail "test: there is no step $step; the steps are: ${STEPS[*]}"
  done
  mkdir -p "$DEV"
  : >"$DEV/notes"
  for step in "${wanted[@]}"; do
    printf '\n=== %s\n' "$step"
    began=$SECONDS
    # A process of its own, so that `set -e` holds inside the step.
    if "$BASH" "$ROOT/dev.sh" _step "$step"; then
      table+="$(printf '  %-14s ok      %5d s' "$step" $((SECONDS - began)))"$'\n'
    else
      table+="$(printf '  %-14s FAILED  %5d s' "$step" $((SECONDS - began)))"$'\n'
      failed="$step"
      break
    fi
  done
  printf '\n=== summary\n%s  %-14s         %5d s\n' "$table" total $((SECONDS - total))
  cat "$DEV/notes"
  if [[ -n "$failed" ]]; then fail "the step $failed failed; run it alone: ./dev.sh test $failed"; fi
}

# The storms, races and kills again, with more rounds, until the minutes are over.
cmd_soak() {
  local minutes="${1:-10}" round=0 sink
  [[ "$minutes" =~ ^[1-9][0-9]*$ ]] || fail "soak: minutes must be a whole number, such as ./dev.sh soak 30"
  need_debian smtp-sink postfix
  sink="$(find_command smtp-sink)"
  step_build
  SECONDS=0
  while ((SECONDS < minutes * 60)); do
    round=$((round + 1))
    printf '\n=== soak round %d, %d of %d seconds\n' "$round" "$SECONDS" $((minutes * 60))
    EMCRM_SOAK=1 EMCRM_SOAK_ROUND="$round" EMCRM_SMTP_SINK="$sink" cargo test --locked --workspace --no-fail-fast -- storm races kill
  done
  say "$round rounds in $SECONDS seconds, no failure."
}

# The load program brings its own mail server and measures the release build beside it.
cmd_bench() {
  cargo build --locked --release -p emcrm-server --bin emcrm
  cargo run --locked --release -p emcrm-bench -- "$@"
}

cmd_help() {
  cat <<EOT
Usage: ./dev.sh COMMAND

  start              build and run the server in the background; data and log in .dev/
  stop               end it; it finishes what it has in hand
  restart            stop, then start
  status             whether it runs and answers (exit code 3: it does not run)
  logs [-f]          the end of its log; -f follows
  init-db            what the storage needs before the first start (embedded: nothing), then emcrm doctor
  test [STEP…]       all checks and tests, or only the named steps, in the given order:
                     ${STEPS[*]}
  soak [MINUTES]     the storm, race and kill tests with more rounds, again and again (default 10)
  bench [OPTION…]    the load program, release build; prints the table of docs/PERFORMANCE.md
  clean [--yes]      stop the server and delete .dev/
  help               this text

Examples:
  ./dev.sh start && curl http://127.0.0.1:8080/health
  APP_API_PORT=8081 ./dev.sh start
  ./dev.sh test                    everything, as CI does
  ./dev.sh test fmt clippy         two steps
  ./dev.sh soak 30
EOT
}

main() {
  local command="${1:-help}"
  if (($# > 0)); then shift; fi
  case "$command" in
    start | stop | restart | status) "cmd_$command" ;;
    logs | clean | soak) "cmd_$command" "${1:-}" ;;
    init-db) cmd_init_db ;;
    test | bench) "cmd_$command" "$@" ;;
    _step) "step_$1" ;;
    help | -h | --help) cmd_help ;;
    *) fail "unknown command $command; ./dev.sh help lists them" ;;
  esac
}

main "$@"
