#!/usr/bin/env bash
# Runs schemathesis over the whole OpenAPI document against a server of its own: an empty data folder, mail into files.
# Fails on anything schemathesis finds, on a 5xx in the server's log, and when the data does not verify afterwards.
# Called by `./dev.sh test schemathesis`, which sets BIN (the emcrm binary), VENV (a Python with schemathesis) and OUT (a folder of ours).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${BIN:?}" "${VENV:?}" "${OUT:?}"

rm -rf "$OUT"
mkdir -p "$OUT/data"
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
log="$OUT/server.log"

# Everything that is configured, here: the commands run in the folder OUT, so that no .env or emcrm.toml of a developer counts.
export APP_DATA_DIR="$OUT/data" APP_API_HOST=127.0.0.1 APP_API_PORT="$port" MAIL_TRANSPORT=outbox APP_LOG_FORMAT=json
# Thousands of attempts to sign in a minute are what this is.
export APP_LIMIT_SIGN_INS=0 APP_LIMIT_PUBLIC=0
(cd "$OUT" && exec "$BIN" serve) >"$log" 2>&1 </dev/null &
server=$!
trap 'kill -KILL "$server" 2>/dev/null || true' EXIT

url="http://127.0.0.1:$port"
"$VENV/bin/python" scripts/wait_for_health.py "$url/health" "$server" || { tail -n 20 "$log" >&2; exit 1; }

found=0
HYPOTHESIS_STORAGE_DIRECTORY="$OUT/hypothesis" \
  "$VENV/bin/schemathesis" --config-file tests/schemathesis/schemathesis.toml run "$url/openapi.json" \
  --no-color --report junit --report-dir "$OUT/report" || found=1

kill -TERM "$server"
if ! wait "$server"; then
  tail -n 20 "$log" >&2
  echo "schemathesis.sh: the server did not end cleanly" >&2
  found=1
fi
trap - EXIT

if grep -nE '"?status"?[=:] ?5[0-9][0-9]\b|panicked' "$log" | head -n 20; then
  echo "schemathesis.sh: the lines above of the server's log are 5xx answers; the log is $log" >&2
  found=1
fi

if ! (cd "$OUT" && "$BIN" verify); then
  echo "schemathesis.sh: after the run the data does not verify; it is in $OUT/data" >&2
  found=1
fi

exit "$found"
