#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds, two at a time: scripts/fuzz.sh SECONDS [TARGET…]
# The folder is laid out for cargo-fuzz, which needs a nightly compiler for its sanitizers. Here is no unsafe code of ours to sanitize, so the stable one does.
# Called by `./dev.sh test fuzz` and `./dev.sh soak`, which set OUT (a folder of ours: what was found, and inputs that reached something new).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${OUT:?}"
seconds="$1"
targets=("${@:2}")
if [[ ${#targets[@]} == 0 ]]; then
  for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

host="$(rustc -vV | sed -n 's/^host: //p')"
# What cargo-fuzz passes, without a sanitizer. With --target, so that build scripts and macros stay as they are.
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# What is built quickly runs slowly: worth it for some seconds, not for minutes.
speed=()
if ((seconds > 60)); then speed=(--config 'profile.release.package."*".opt-level=1'); fi
RUSTFLAGS="$flags" cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$OUT/target" "${speed[@]}"

mkdir -p "$OUT/found"
run() {
  local target="$1" corpus="$OUT/corpus/$1" log="$OUT/$1.log"
  mkdir -p "$corpus"
  if ! "$OUT/target/$host/release/$target" "$corpus" "fuzz/seeds/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -max_len=4096 -print_final_stats=1 -artifact_prefix="$OUT/found/$target-" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz.sh: $target failed; what made it fail is in $OUT/found" >&2
    return 1
  fi
  printf '%-14s %9s runs  %s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")" \
    "$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)"
}
export -f run
export OUT host seconds
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} "$BASH" -c 'run {}'
