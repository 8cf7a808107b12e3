#!/usr/bin/env bash
# Runs schemathesis over the whole OpenAPI document against a server of its own: an empty data folder, mail into files. Four times: where nobody has to sign in
# (the long run), as an administrator's program, as one that may only look, to which most answers are 403, and as nobody where one has to sign in, to whom they are 401.
# Fails on anything schemathesis finds, on a 5xx in the server's log, and when the data does not verify afterwards.
# Called by `./dev.sh test schemathesis`, which sets BIN (the emcrm binary), VENV (a Python with schemathesis) and OUT (a folder of ours).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${BIN:?}" "${VENV:?}" "${OUT:?}"

rm -rf "$OUT"
mkdir -p "$OUT/data"
port="$(python3 scripts/free_port.py)"
url="http://127.0.0.1:$port"
log="$OUT/server.log"
found=0
server=""
trap '[[ -z "$server" ]] || kill -KILL "$server" 2>/dev/null || true' EXIT

# Everything that is configured, here: the commands run in the folder OUT, so that no .env or emcrm.toml of a developer counts.
export APP_DATA_DIR="$OUT/data" APP_API_HOST=127.0.0.1 APP_API_PORT="$port" MAIL_TRANSPORT=outbox APP_LOG_FORMAT=json
# Thousands of requests a minute, and attempts to sign in among them, are what this is.
export APP_LIMIT_SIGN_INS=0 APP_LIMIT_PUBLIC=0 APP_LIMIT_READS=0 APP_LIMIT_WRITES=0

emcrm() { (cd "$OUT" && exec "$BIN" "$@"); }

start() {
  (cd "$OUT" && exec "$BIN" serve) >>"$log" 2>&1 </dev/null &
  server=$!
  "$VENV/bin/python" scripts/wait_for_health.py "$url/health" "$server" || { tail -n 20 "$log" >&2; exit 1; }
}

stop() {
  kill -TERM "$server"
  if ! wait "$server"; then
    tail -n 20 "$log" >&2
    echo "schemathesis.sh: the server did not end cleanly" >&2
    found=1
  fi
  server=""
}

# run NAME CONFIGURATION [OPTION…]
run() {
  printf '\n--- %s\n' "$1"
  HYPOTHESIS_STORAGE_DIRECTORY="$OUT/hypothesis" "$VENV/bin/schemathesis" --config-file "$2" run "$url/openapi.json" \
    --no-color --report junit --report-dir "$OUT/report/$1" "${@:3}" || found=1
}

settings=tests/schemathesis/schemathesis.toml
start
run nobody "$settings"
stop

token() { emcrm token create "$1" --grant "$1" --json | grep -o 'emcrm_[0-9a-f]\{32\}_[A-Za-z0-9]\{40\}'; }
admin="$(token admin)"
viewer="$(token viewer)"
# An issuer that does not answer: programs with tokens go on. Only the way to its page would be 503.
export AUTH_ENABLED=true AUTH_ISSUER=http://127.0.0.1:9 AUTH_CLIENT_ID=crm
export EMCRM_HOOKS_TOKEN="$admin"
start
# Where one has to sign in, the way to the page that asks is taken.
with() { sed "s/^expected-statuses = \\[\"2xx\",/&$1/" "$settings" >"$OUT/$2.toml"; }
with ' "303",' admin
EMCRM_HOOKS_FIRST=100001 run admin "$OUT/admin.toml" --exclude-path /auth/login --header "Authorization: Bearer $admin" --max-examples 12
# Whoever may only look is refused what the document calls right.
with ' "303", "403",' viewer
EMCRM_HOOKS_FIRST=200001 run viewer "$OUT/viewer.toml" --exclude-path /auth/login --header "Authorization: Bearer $viewer" --max-examples 6 --phases examples,coverage,fuzzing
# Whoever does not say who he is is told so, and nothing else.
with ' "303", "401", "403",' stranger
before="$(wc -l <"$log")"
EMCRM_HOOKS_FIRST=300001 run stranger "$OUT/stranger.toml" --exclude-path /auth/login --max-examples 4 --phases examples,coverage,fuzzing
stop

# Of that run, what was asked without a token: the hooks make what the requests name with one.
tail -n "+$((before + 1))" "$log" | grep -E '"actor":"-"' >"$OUT/stranger.log" || true
grep -qE '"status":401\b' "$OUT/stranger.log" || { echo "schemathesis.sh: nobody was answered 401; the run without a token did not ask" >&2; found=1; }
grep -E '"route":"/(users|events|attend|email|search|tokens|audit|mail/events/bounce)[^"]*"' "$OUT/stranger.log" >"$OUT/stranger-data.log" || true
if grep -nE -m 20 '"status":[235][0-9][0-9]\b' "$OUT/stranger-data.log"; then
  echo "schemathesis.sh: the lines above are answers to nobody that only somebody may have" >&2
  found=1
fi

if grep -nE '"?status"?[=:] ?5[0-9][0-9]\b|panicked' "$log" | head -n 20; then
  echo "schemathesis.sh: the lines above of the server's log are 5xx answers; the log is $log" >&2
  found=1
fi
grep -qE '"?status"?[=:] ?403\b' "$log" || { echo "schemathesis.sh: nobody was answered 403; the token that may only look was not used" >&2; found=1; }

if ! emcrm verify; then
  echo "schemathesis.sh: after the run the data does not verify; it is in $OUT/data" >&2
  found=1
fi

exit "$found"
