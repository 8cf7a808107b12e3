#!/usr/bin/env bash
# Everything a developer does by name. `./dev.sh help` lists it.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$ROOT"

DEV="$ROOT/.dev"                                # everything this script makes, except the cargo target folder
TOOLS="$DEV/tools"
VENV="$DEV/venv"
BIN="${CARGO_TARGET_DIR:-$ROOT/target}/debug/emcrm"

CARGO_DENY_VERSION=0.20.2

# Order matters: what fails fastest comes first, and `build` comes before what uses the binary.
STEPS=(parts fmt clippy build docs deny unused deploy alerts terraform tests browser schemathesis newman fuzz)

export ROOT DEV TOOLS
# shellcheck source=scripts/parts.sh
source "$ROOT/scripts/parts.sh"

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
# shellcheck source=scripts/server.sh
source "$ROOT/scripts/server.sh"

# For `cargo test` by hand: eval "$(./dev.sh parts env)"
cmd_parts() {
  local part pid
  case "${1:-start}" in
    start)
      step_parts
      start_test_parts
      parts_env
      say "# To use them in this shell: eval \"\$(./dev.sh parts env)\""
      ;;
    stop) stop_test_parts ;;
    status)
      for part in "${TEST_PARTS[@]}"; do
        if pid="$(part_pid "$part")"; then say "$part runs, process $pid, port $(part_port "$part")."; else say "$part does not run."; fi
      done
      ;;
    env)
      for part in "${TEST_PARTS[@]}"; do part_pid "$part" >/dev/null || fail "$part does not run; start the parts: ./dev.sh parts start"; done
      parts_env
      ;;
    *) fail "parts: unknown word $1; there are start, stop, status, env" ;;
  esac
}

cmd_clean() {
  local answer
  if [[ "${1:-}" != --yes ]]; then
    read -r -p "Stop the server and delete $DEV (data, log, tools)? [y/N] " answer || true
    [[ "${answer:-}" == [yY]* ]] || { say "Nothing was deleted."; return; }
  fi
  local composed=no
  if [[ -f "$COMPOSE_MARK" ]] || { compose_works && [[ -n "$(compose ps --all --quiet 2>/dev/null)" ]]; }; then composed=yes; fi
  cmd_stop
  if [[ "$composed" == yes ]]; then compose down --volumes; fi
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
  need_debian curl curl
  need_debian ps procps
  need_debian setsid util-linux
  need_debian smtp-sink postfix
  need_java
  need_node
  mkdir -p "$PARTS"
  install_parts "${TEST_PARTS[@]}"
  need_browser
  install_parts newman
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
  # The embedded product alone, without a line of AWS's.
  cargo clippy --locked -p emcrm-server --no-default-features --bins -- -D warnings
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
  need_debian curl curl
  python3 scripts/guides.py "$BIN"
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

# What wakes people at night: the rules say what they should, and speak of metrics that there are.
step_alerts() {
  need_debian promtool prometheus
  promtool check rules deploy/observability/alerts.yaml
  promtool test rules deploy/observability/alerts_test.yaml
  python3 scripts/observability.py
}

step_unused() {
  python3 scripts/unused_dependencies.py
}

# pip_tool NAME: a program from PyPI in a folder of its own, once for each state of its pins.
pip_tool() {
  local pins="tests/tools/$1.txt" venv="$DEV/venv-$1"
  if cmp -s "$pins" "$venv/pins.txt"; then return; fi
  rm -rf "$venv"
  python3 -m venv "$venv"
  try "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$pins" || fail "$1 cannot be fetched with pip"
  cp "$pins" "$venv/pins.txt"
}

# Container, compose files, unit, scripts: what can be said without an engine.
step_deploy() {
  need_debian shellcheck shellcheck
  docker compose version >/dev/null 2>&1 || need_debian docker-compose docker-compose
  if command -v apt-get >/dev/null; then
    need_debian systemd-analyze systemd
  elif ! command -v systemd-analyze >/dev/null; then
    note "deploy: the systemd unit was NOT CHECKED, there is no systemd-analyze here"
  fi
  pip_tool hadolint
  step_build
  BIN="$BIN" HADOLINT="$DEV/venv-hadolint/bin/hadolint" scripts/deploy_checks.sh
}

# Both installations from nothing to nothing on an emulator of AWS. Terraform itself comes from no registry of packages.
step_terraform() {
  local fetching
  if ! command -v terraform >/dev/null; then
    note "terraform: NOT CHECKED, the program is not here"
    return
  fi
  # Fetched while the emulator is waited for.
  pip_tool checkov &
  fetching=$!
  install_parts moto
  step_build
  export BIN MOTO="$PARTS/moto/venv/bin/python"
  scripts/terraform.sh prove
  scripts/terraform.sh options
  wait "$fetching"
  CHECKOV="$DEV/venv-checkov/bin/checkov" scripts/terraform.sh check
}

# The search domain alone: the provider is silent for ten minutes before it looks.
cmd_terraform_search() {
  install_parts moto
  MOTO="$PARTS/moto/venv/bin/python" scripts/terraform.sh search
}

# The image, without an engine and without a registry of images.
cmd_image() {
  local tool
  for tool in buildah podman runc debootstrap; do need_debian "$tool" "$tool"; done
  scripts/image.sh
}

# The parts run from here to the end of the step, however it ends.
step_tests() {
  trap stop_test_parts EXIT
  start_test_parts
  eval "$(parts_env)"
  node --test --test-reporter=dot tests/parts/oidc/provider.test.mjs
  cargo test --locked --workspace --no-fail-fast
  # The same again on the other pair of engines: one variable is all that differs. The whole workspace, because with -p cargo would choose other
  # features of the dependencies and build them a second time.
  EMCRM_TEST_PAIR=aws cargo test --locked --workspace --no-fail-fast --test it
  # Without the control of the storm: there a life of the server is long, and a mail twice takes many of them. The soak has it.
  EMCRM_TEST_PAIR=aws cargo test --locked --workspace --no-fail-fast --test storms -- races:: real_input:: kills:: restarts:: --skip the_same_storm
}

# Debian's browser walks through what was built. First on what is built in, then the main job again on what AWS has.
step_browser() {
  need_browser
  step_build
  trap stop_test_parts EXIT
  start_test_parts
  browser_env
  # The limit is one for each file, on a machine that does other things too.
  node --test --test-concurrency=2 --test-timeout=600000 --test-reporter=spec tests/browser/*.test.mjs
  EMCRM_TEST_PAIR=aws node --test --test-timeout=600000 --test-reporter=spec tests/browser/walk.test.mjs
}

need_browser() {
  need_node
  need_debian chromium chromium
  install_parts browser
}

browser_env() {
  eval "$(parts_env)"
  export EMCRM_BIN="$BIN" EMCRM_BROWSER_PACKAGES="$PARTS/browser"
}

step_schemathesis() {
  need_schemathesis
  step_build
  BIN="$BIN" VENV="$VENV" OUT="$DEV/schemathesis" scripts/schemathesis.sh
}

# The Postman collection: is it what its tables make, does it ask for every operation, and is it true, on both pairs of engines.
step_newman() {
  need_node
  node tests/postman/make.mjs --check
  node --test --test-reporter=dot tests/postman/coverage.test.mjs
  install_parts newman
  step_build
  trap stop_test_parts EXIT
  start_test_parts
  eval "$(parts_env)"
  export EMCRM_BIN="$BIN" EMCRM_POSTMAN_PACKAGES="$PARTS/newman"
  node tests/postman/run.mjs
  EMCRM_TEST_PAIR=aws node tests/postman/run.mjs
}

# Each parser of outside bytes for some seconds. What is found stays in .dev/fuzz/found; a test and a seed come from it.
step_fuzz() {
  need_debian c++ build-essential
  OUT="$DEV/fuzz" scripts/fuzz.sh 8
}

# A process of its own, so that `set -e` holds inside the step. What was begun beside others is waited for. Uses `beside` and `fuzzing` of its caller.
run_step() {
  local process="" status=0
  if [[ "$1" == terraform ]]; then process="$beside" beside=""; fi
  if [[ "$1" == fuzz ]]; then process="$fuzzing" fuzzing=""; fi
  if [[ -z "$process" ]]; then
    "$BASH" "$ROOT/dev.sh" _step "$1"
    return
  fi
  wait "$process" || status=$?
  cat "$DEV/$1.log"
  return "$status"
}

# Runs the steps in order, stops at the first that fails, and says how long each took. `terraform` mostly waits for its emulator: it begins when `build`
# has ended, beside the steps that follow, and its place is where it is waited for. `fuzz` builds for minutes: it begins with `schemathesis`, and gives way to it.
cmd_test() {
  local wanted=("$@") step began total=$SECONDS table="" failed="" beside="" fuzzing=""
  [[ ${#wanted[@]} -gt 0 ]] || wanted=("${STEPS[@]}")
  for step in "${wanted[@]}"; do
    declare -F "step_$step" >/dev/null || fail "test: there is no step $step; the steps are: ${STEPS[*]}"
  done
  mkdir -p "$DEV"
  : >"$DEV/notes"
  for step in "${wanted[@]}"; do
    printf '\n=== %s\n' "$step"
    began=$SECONDS
    if [[ "$step" == schemathesis && " ${wanted[*]} " == *" fuzz "* ]]; then
      nice -n 19 "$BASH" "$ROOT/dev.sh" _step fuzz >"$DEV/fuzz.log" 2>&1 &
      fuzzing=$!
    fi
    if run_step "$step"; then
      table+="$(printf '  %-14s ok      %5d s' "$step" $((SECONDS - began)))"$'\n'
      if [[ "$step" == build && " ${wanted[*]} " == *" terraform "* ]]; then
        "$BASH" "$ROOT/dev.sh" _step terraform >"$DEV/terraform.log" 2>&1 &
        beside=$!
      fi
    else
      table+="$(printf '  %-14s FAILED  %5d s' "$step" $((SECONDS - began)))"$'\n'
      failed="$step"
      break
    fi
  done
  if [[ -n "$beside$fuzzing" ]]; then wait || true; fi
  printf '\n=== summary\n%s  %-14s         %5d s\n' "$table" total $((SECONDS - total))
  cat "$DEV/notes"
  if [[ -n "$failed" ]]; then fail "the step $failed failed; run it alone: ./dev.sh test $failed"; fi
}

# The storms, races and kills again, with more rounds, until the minutes are over; then the fuzz targets, each for a quarter of that time, two at once.
cmd_soak() {
  local minutes="${1:-10}" round=0
  [[ "$minutes" =~ ^[1-9][0-9]*$ ]] || fail "soak: minutes must be a whole number, such as ./dev.sh soak 30"
  step_parts
  step_build
  trap stop_test_parts EXIT
  start_test_parts
  eval "$(parts_env)"
  SECONDS=0
  while ((SECONDS < minutes * 60)); do
    round=$((round + 1))
    printf '\n=== soak round %d, %d of %d seconds\n' "$round" "$SECONDS" $((minutes * 60))
    EMCRM_SOAK=1 EMCRM_SOAK_ROUND="$round" cargo test --locked --workspace --no-fail-fast -- storm races kill restarts outages scaling moving
    EMCRM_TEST_PAIR=aws EMCRM_SOAK=1 EMCRM_SOAK_ROUND="$round" cargo test --locked --workspace --no-fail-fast --test storms -- races:: real_input:: kills:: restarts::
  done
  say "$round rounds in $SECONDS seconds, no failure."
  OUT="$DEV/fuzz" scripts/fuzz.sh $((minutes * 15))
}

# The load program brings its own mail server and measures the release build beside it.
cmd_bench() {
  if [[ "${1:-}" == pages ]]; then
    bench_pages "${@:2}"
    return
  fi
  cargo build --locked --release -p emcrm-server --bin emcrm
  cargo build --locked --release -p emcrm-bench
  if [[ "${1:-}" == aws ]]; then
    need_java
    mkdir -p "$PARTS"
    install_parts dynamodb opensearch
    trap 'stop_part dynamodb; stop_part opensearch' EXIT
    start_part dynamodb
    start_part opensearch
    wait_part dynamodb
    wait_part opensearch
    EMCRM_DYNAMODB="http://127.0.0.1:$(part_port dynamodb)" EMCRM_OPENSEARCH="http://127.0.0.1:$(part_port opensearch)"
    export EMCRM_DYNAMODB EMCRM_OPENSEARCH
  fi
  "${CARGO_TARGET_DIR:-$ROOT/target}/release/emcrm-bench" "$@"
}

# Each page among a million people, from outside. EMCRM_SPEED_DATA is a data folder that was filled before.
bench_pages() {
  mkdir -p "$PARTS"
  need_node
  cargo build --locked --release -p emcrm-server --bin emcrm
  EMCRM_BIN="${CARGO_TARGET_DIR:-$ROOT/target}/release/emcrm" node tests/browser/speed.mjs "$@"
}

# Lighthouse on the most used pages.
cmd_lighthouse() {
  mkdir -p "$PARTS"
  need_browser
  install_parts maildev
  step_build
  trap 'stop_part maildev' EXIT
  start_part maildev
  wait_part maildev
  EMCRM_MAILDEV="127.0.0.1:$(part_port maildev)" EMCRM_BIN="$BIN" EMCRM_BROWSER_PACKAGES="$PARTS/browser" node tests/browser/lighthouse.mjs
}

# A campaign mail's trace, from the request to the mail server's reply, as a collector exported it. Not among the steps: the collector takes minutes to build.
cmd_trace() {
  need_debian python3 python3
  need_debian ps procps
  need_debian setsid util-linux
  need_debian smtp-sink postfix
  install_parts collector
  cargo build --locked -p emcrm-server --bin emcrm
  trap 'stop_part collector' EXIT
  stop_part collector
  start_part collector "" "$DEV/trace"
  wait_part collector
  python3 scripts/traces.py "$BIN" "$(find_command smtp-sink)" "http://127.0.0.1:$(part_port collector)" "$DEV/trace/traces.json"
}

# Every page as a picture: 390, 900 and 1440 px wide, light and dark.
cmd_screenshots() {
  local folder="${1:-}"
  [[ -n "$folder" ]] || fail "screenshots: say where to, such as ./dev.sh screenshots /tmp/pictures"
  if [[ "$folder" == --readme ]]; then
    screenshots_into "$ROOT/docs/pictures" --readme
    return
  fi
  folder="$(realpath -m "$folder")"
  [[ "$folder/" != "$ROOT"/* ]] || fail "screenshots: choose a folder outside the repository"
  screenshots_into "$folder" "${@:2}"
}

screenshots_into() {
  local folder="$1"
  mkdir -p "$PARTS"
  need_browser
  install_parts oidc
  cargo build --locked -p emcrm-server --bin emcrm
  trap 'stop_part oidc' EXIT
  start_part oidc
  wait_part oidc
  EMCRM_OIDC="http://127.0.0.1:$(part_port oidc)" EMCRM_BIN="$BIN" EMCRM_BROWSER_PACKAGES="$PARTS/browser" node tests/browser/screenshots.mjs "$folder" "${@:2}"
}

cmd_help() {
  cat <<EOT
Usage: ./dev.sh COMMAND

  start              build and run the server in the background; data and log in .dev/
  start --aws-local  the same on DynamoDB Local and OpenSearch, with a mail server that shows what it took
                     (ports: LOCAL_DYNAMODB_PORT 8000, LOCAL_OPENSEARCH_PORT 9200, LOCAL_MAIL_PORT 1025, its page one above)
  stop               end it and what it stands on; it finishes what it has in hand
  restart            stop, then start
  status             whether it runs and answers (exit code 3: it does not run)
  logs [-f] [WHAT]   the end of its log; -f follows; WHAT: api, dynamodb, opensearch, mail
  init-db            make what the storage needs before the first start, then emcrm doctor
  parts [WORD]       the real servers that tests need: start (default), stop, status, env
  test [STEP…]       all checks and tests, or only the named steps, in the given order:
                     ${STEPS[*]}
  terraform-search   makes the search domain on an emulator of AWS, as \`test terraform\` does with all else; 12 minutes
  image              builds the container image on bases made here, and starts it as in production; needs root; 15 minutes the first time
  soak [MINUTES]     the storm, race and kill tests with more rounds, again and again (default 10), then the fuzz targets as long
  bench [OPTION…]    the load program, release build; prints the table of docs/PERFORMANCE.md
  bench aws          create, read, register, search and mail on DynamoDB Local and OpenSearch
  bench pages [N]    how long the server takes for each page among N people (default a million)
  trace              the trace of a campaign's mail as the OpenTelemetry Collector exports it; builds that one first, in some minutes
  lighthouse         accessibility and best practices of the most used pages
  screenshots DIR    every page as a picture, three widths, light and dark; --plain without the hostile texts of the tests
  screenshots --readme  the pictures of the README anew, into docs/pictures/
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
    stop | restart | status) "cmd_$command" ;;
    start | clean | soak | parts) "cmd_$command" "${@:1:1}" ;;
    logs) cmd_logs "$@" ;;
    init-db) cmd_init_db ;;
    terraform-search) cmd_terraform_search ;;
    image) cmd_image ;;
    trace) cmd_trace ;;
    test | bench | lighthouse | screenshots) "cmd_$command" "$@" ;;
    _step) "step_$1" ;;
    help | -h | --help) cmd_help ;;
    *) fail "unknown command $command; ./dev.sh help lists them" ;;
  esac
}

main "$@"
