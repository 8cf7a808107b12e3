# The real servers that tests and development need beside the product: DynamoDB Local, OpenSearch, moto, toxiproxy, maildev,
# an OpenID provider, a collector of traces.
# Sourced by dev.sh, which sets DEV, ROOT, TOOLS and the functions say and fail. Everything lies below .dev/parts.
#
# A part is installed by install_PART, started by launch_PART PORT FOLDER (which replaces the shell), and answers when answers_PART PORT succeeds.
# shellcheck shell=bash

PARTS="$DEV/parts"
if [[ -x "$TOOLS/node/node_modules/node/bin/node" ]]; then PATH="$TOOLS/node/node_modules/node/bin:$PATH"; fi
TOXIPROXY_VERSION=v2.5.0
# For systems whose own Node is older than what the packages of the tests ask for.
NODE_VERSION=22.23.3
NODE_OLDEST=(20 19)
# Shown where a part does not start.
LOG_LINES=30

# ------------------------------------------------------------------------------------------------------------- installing

# Registries are other people's machines: a download that fails is tried again.
try() {
  local attempt
  for attempt in 1 2 3; do
    if "$@"; then return 0; fi
    say "attempt $attempt failed: $*" >&2
    sleep $((attempt * 3))
  done
  return 1
}

need_java() {
  need_debian java default-jre-headless
  need_debian mvn maven
}

# All jar files of a pom, once for each state of the pom.
install_jars() {
  local part="$1" pom="$ROOT/tests/parts/$1/pom.xml" lib="$PARTS/$1/lib"
  if cmp -s "$pom" "$PARTS/$part/pom.xml"; then return; fi
  rm -rf "$lib" "$PARTS/$part/pom.xml"
  mkdir -p "$lib"
  try mvn -q -B -f "$pom" dependency:copy-dependencies "-DoutputDirectory=$lib" || fail "$part cannot be fetched with Maven"
  cp "$pom" "$PARTS/$part/pom.xml"
}

install_dynamodb() { install_jars dynamodb-local; }
install_opensearch() { install_jars opensearch; }

install_moto() {
  local pins="$ROOT/tests/parts/moto/requirements.txt" venv="$PARTS/moto/venv"
  if cmp -s "$pins" "$PARTS/moto/pins.txt"; then return; fi
  rm -rf "$venv"
  mkdir -p "$PARTS/moto"
  python3 -m venv "$venv"
  try "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$pins" || fail "moto cannot be fetched with pip"
  cp "$pins" "$PARTS/moto/pins.txt"
}

# The module names its binary `server`; it is kept under its own name.
install_toxiproxy() {
  if [[ -x "$TOOLS/bin/toxiproxy-$TOXIPROXY_VERSION" ]]; then return; fi
  need_debian go golang-go
  mkdir -p "$TOOLS/bin" "$PARTS/go"
  GOBIN="$PARTS/go" try go install "github.com/Shopify/toxiproxy/v2/cmd/server@$TOXIPROXY_VERSION" || fail "toxiproxy cannot be built with Go"
  mv "$PARTS/go/server" "$TOOLS/bin/toxiproxy-$TOXIPROXY_VERSION"
}

# The OpenTelemetry Collector: what it is made of, and in which versions, says its go.mod.
install_collector() {
  local source="$ROOT/tests/parts/collector"
  if cmp -s "$source/go.sum" "$PARTS/collector/go.sum" && [[ -x "$PARTS/collector/otelcol" ]]; then return; fi
  need_debian go golang-go
  mkdir -p "$PARTS/collector"
  try go build -C "$source" -trimpath -ldflags='-s -w' -o "$PARTS/collector/otelcol" . || fail "the collector cannot be built with Go; $source/go.mod says which version it needs, and Go 1.21 or later fetches that one"
  cp "$source/go.sum" "$PARTS/collector/go.sum"
}

# Node of Debian where it is new enough, else one from the registry of npm.
need_node() {
  need_debian node nodejs
  need_debian npm npm
  if node -e 'const [a, b] = process.versions.node.split(".").map(Number), [c, d] = process.argv.slice(1).map(Number); process.exit(a > c || (a === c && b >= d) ? 0 : 1)' "${NODE_OLDEST[@]}"; then return; fi
  (
    # Parts are installed beside each other.
    mkdir -p "$TOOLS/node"
    exec 8>"$TOOLS/node/lock"
    flock 8
    cd "$TOOLS/node"
    [[ -x node_modules/node/bin/node ]] || { echo '{ "private": true }' >package.json && try npm install --no-audit --no-fund --loglevel=error "node@$NODE_VERSION"; }
  ) || fail "Node $NODE_VERSION cannot be fetched with npm"
  PATH="$TOOLS/node/node_modules/node/bin:$PATH"
}

# The packages of a package.json, once for each state of it.
install_npm() {
  local part="$1" package="$2" folder="$PARTS/$1"
  if cmp -s "$package" "$folder/installed.json"; then return; fi
  rm -rf "$folder/node_modules" "$folder/installed.json"
  mkdir -p "$folder"
  cp "$package" "$folder/package.json"
  (cd "$folder" && try npm install --no-package-lock --omit=dev --no-audit --no-fund --loglevel=error) || fail "$part cannot be fetched with npm"
  mv "$folder/package.json" "$folder/installed.json"
}

install_maildev() { install_npm maildev "$ROOT/tests/parts/maildev/package.json"; }
install_browser() { install_npm browser "$ROOT/tests/browser/package.json"; }
install_oidc() { install_npm oidc "$ROOT/tests/parts/oidc/package.json"; }

# What the lock file says, and nothing newer.
install_newman() {
  local pins="$ROOT/tests/postman" folder="$PARTS/newman"
  if cmp -s "$pins/package-lock.json" "$folder/installed.json"; then return; fi
  mkdir -p "$folder"
  cp "$pins/package.json" "$pins/package-lock.json" "$folder/"
  (cd "$folder" && try npm ci --omit=dev --no-audit --no-fund --loglevel=error) || fail "newman cannot be fetched with npm"
  cp "$pins/package-lock.json" "$folder/installed.json"
}

# Installs several parts at once: they come from different registries.
install_parts() {
  local part failed="" pids=()
  mkdir -p "$PARTS"
  for part in "$@"; do
    ("install_$part") >"$PARTS/install-$part.log" 2>&1 &
    pids+=("$!:$part")
  done
  for part in "${pids[@]}"; do
    if ! wait "${part%%:*}"; then
      failed+=" ${part#*:}"
      tail -n "$LOG_LINES" "$PARTS/install-${part#*:}.log" >&2
    fi
  done
  [[ -z "$failed" ]] || fail "these parts could not be installed:$failed"
}

# --------------------------------------------------------------------------------------------------------------- starting

# OpenSearch's runner takes no port above 9299.
free_port() { python3 "$ROOT/scripts/free_port.py" "${1:-20000}" "${2:-29999}" "$PARTS/run"; }

# FOLDER empty: in memory.
launch_dynamodb() {
  local port="$1" folder="$2" lib="$PARTS/dynamodb-local/lib" where=(-inMemory)
  if [[ -n "$folder" ]]; then
    mkdir -p "$folder"
    where=(-dbPath "$folder")
  fi
  # It leaves a file where it is started.
  cd "$PARTS/run" || exit
  exec java -Xmx1g "-Dsqlite4java.library.path=$lib" -cp "$lib/*" com.amazonaws.services.dynamodbv2.local.main.ServerRunner -sharedDb "${where[@]}" -port "$port"
}
answers_dynamodb() { [[ "$(http_status "$1" /)" == 400 ]]; }

# It finds a second port, for nodes to talk to each other, by itself.
launch_opensearch() {
  local port="$1" folder="$2" lib="$PARTS/opensearch/lib"
  if [[ -z "$folder" ]]; then
    folder="$PARTS/run/opensearch-data"
    rm -rf "$folder"
  fi
  mkdir -p "$folder"
  exec java -Xms512m -Xmx1g -cp "$lib/*" org.codelibs.opensearch.runner.OpenSearchRunner -basePath "$folder" -numOfNode 1 -clusterName emcrm -baseHttpPort $((port - 1))
}
# A full disk must not stop tests: only the product's own limits count here.
answers_opensearch() {
  [[ "$(http_status "$1" '/_cluster/health?wait_for_status=yellow&timeout=1s')" == 200 ]] || return 1
  python3 - "$1" <<'PY'
import sys, urllib.request
body = b'{"persistent":{"cluster.routing.allocation.disk.threshold_enabled":"false"}}'
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/_cluster/settings", body, {"Content-Type": "application/json"}, method="PUT")
urllib.request.urlopen(request, timeout=10).read()
PY
}

launch_moto() {
  MOTO_IAM_LOAD_MANAGED_POLICIES=true exec "$PARTS/moto/venv/bin/moto_server" -H 127.0.0.1 -p "$1"
}
answers_moto() { [[ "$(http_status "$1" /moto-api/data.json)" == 200 ]]; }

launch_toxiproxy() { exec "$TOOLS/bin/toxiproxy-$TOXIPROXY_VERSION" -host 127.0.0.1 -port "$1"; }
answers_toxiproxy() { [[ "$(http_status "$1" /version)" == 200 ]]; }

# Its page is one port above its SMTP port.
launch_maildev() {
  exec node "$PARTS/maildev/node_modules/maildev/dist/bin/maildev.js" --ip 127.0.0.1 --smtp "$1" --web-ip 127.0.0.1 --web $(($1 + 1))
}
answers_maildev() { [[ "$(http_status $(($1 + 1)) /api/email)" == 200 ]]; }

# What it takes by OTLP over HTTP stands in FOLDER/traces.json, one request a line.
launch_collector() {
  mkdir -p "$2"
  cat >"$2/collector.yaml" <<EOT
receivers: { otlp: { protocols: { http: { endpoint: "127.0.0.1:$1" } } } }
exporters: { file: { path: "$2/traces.json", flush_interval: 100ms } }
service: { telemetry: { metrics: { level: none } }, pipelines: { traces: { receivers: [otlp], exporters: [file] } } }
EOT
  exec "$PARTS/collector/otelcol" --config "$2/collector.yaml"
}
answers_collector() { [[ "$(http_status "$1" /v1/traces)" == 405 ]]; }

launch_oidc() { exec node "$ROOT/tests/parts/oidc/provider.mjs" "$1" "$PARTS/oidc"; }
answers_oidc() { [[ "$(http_status "$1" /.well-known/openid-configuration)" == 200 ]]; }

# The status code of GET PATH on a port of this machine, or nothing.
http_status() {
  local line
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 0
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&3
    IFS= read -r -t 5 line <&3 || return 0
    exec 3>&-
  } 2>/dev/null
  cut -d' ' -f2 <<<"$line"
}

# What a running part's process is called. An id that the system gave to another program does not count.
part_command() {
  case "$1" in
    dynamodb | opensearch) echo java ;;
    moto) echo moto_server ;;
    toxiproxy) echo toxiproxy-v2.5. ;;
    collector) echo otelcol ;;
    maildev | oidc) echo node ;;
  esac
}

part_pid() {
  local file="$PARTS/run/$1.pid" pid
  [[ -f "$file" ]] || return 1
  pid="$(head -n 1 "$file")"
  [[ "$pid" =~ ^[0-9]+$ && "$(ps -p "$pid" -o comm= 2>/dev/null)" == "$(part_command "$1")"* ]] || return 1
  printf '%s' "$pid"
}

part_port() { sed -n 2p "$PARTS/run/$1.pid"; }

# start_part PART [PORT [FOLDER]]: in the background; wait_part waits for it.
start_part() {
  local part="$1" port="${2:-}" folder="${3:-}"
  if part_pid "$part" >/dev/null; then return; fi
  if [[ -z "$port" && "$part" == opensearch ]]; then port="$(free_port 9210 9299)"; fi
  [[ -n "$port" ]] || port="$(free_port)"
  mkdir -p "$PARTS/run"
  setsid "$BASH" -c "source '$ROOT/scripts/parts.sh'; launch_$part '$port' '$folder'" >"$PARTS/run/$part.log" 2>&1 </dev/null &
  printf '%s\n' "$!" "$port" >"$PARTS/run/$part.pid"
}

wait_part() {
  local part="$1" port tries pid
  port="$(part_port "$part")"
  pid="$(head -n 1 "$PARTS/run/$part.pid")"
  for ((tries = 0; tries < 1500; tries++)); do
    if "answers_$part" "$port" 2>/dev/null; then return; fi
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n "$LOG_LINES" "$PARTS/run/$part.log" >&2
      fail "$part ended before it answered on port $port; its log is $PARTS/run/$part.log"
    fi
    sleep 0.2
  done
  tail -n "$LOG_LINES" "$PARTS/run/$part.log" >&2
  fail "$part did not answer on port $port within 5 minutes; its log is $PARTS/run/$part.log"
}

stop_part() {
  local pid
  if pid="$(part_pid "$1")"; then end_process "$pid"; fi
  rm -f "$PARTS/run/$1.pid"
}

# ------------------------------------------------------------------------------------------------------- for the tests

TEST_PARTS=(dynamodb opensearch moto toxiproxy maildev oidc)

start_test_parts() {
  local part
  for part in "${TEST_PARTS[@]}"; do start_part "$part"; done
  for part in "${TEST_PARTS[@]}"; do wait_part "$part"; done
}

stop_test_parts() {
  local part
  for part in "${TEST_PARTS[@]}"; do stop_part "$part"; done
}

# Where the tests find the parts.
parts_env() {
  printf 'export EMCRM_DYNAMODB=http://127.0.0.1:%s\n' "$(part_port dynamodb)"
  printf 'export EMCRM_DYNAMODB_LIB=%s\n' "$PARTS/dynamodb-local/lib"
  printf 'export EMCRM_OPENSEARCH=http://127.0.0.1:%s\n' "$(part_port opensearch)"
  printf 'export EMCRM_MOTO=http://127.0.0.1:%s\n' "$(part_port moto)"
  printf 'export EMCRM_TOXIPROXY=http://127.0.0.1:%s\n' "$(part_port toxiproxy)"
  printf 'export EMCRM_MAILDEV=127.0.0.1:%s\n' "$(part_port maildev)"
  printf 'export EMCRM_OIDC=http://127.0.0.1:%s\n' "$(part_port oidc)"
  printf 'export EMCRM_OIDC_PACKAGES=%s\n' "$PARTS/oidc"
  printf 'export EMCRM_SMTP_SINK=%s\n' "$(find_command smtp-sink)"
}
