#!/usr/bin/env bash
# What can be said about deploy/ without an engine, a cloud or much time: ./dev.sh test deploy runs it.
# ROOT, DEV: folders. BIN: the product. HADOLINT: the program.
set -euo pipefail

: "${ROOT:?}" "${DEV:?}" "${BIN:?}" "${HADOLINT:?}"
cd "$ROOT"

say() { printf '%s\n' "$*"; }
fail() {
  printf 'deploy_checks.sh: %s\n' "$*" >&2
  exit 1
}

shell_scripts() {
  git ls-files '*.sh' .ci tests/deploy/stubs | while IFS= read -r file; do
    case "$(head -c 64 "$file" | head -n 1)" in '#!'*sh) printf '%s\0' "$file" ;; esac
  done
}

# Debian's docker-compose is older than the line `name:`, and knows everything else.
check_compose() {
  local file
  for file in deploy/docker/compose*.yaml; do
    if docker compose version >/dev/null 2>&1; then
      docker compose --file "$file" config --quiet
    else
      grep -v '^name:' "$file" | docker-compose --file - --project-directory deploy/docker config --quiet
    fi
    say "  $file: known keys and values only"
  done
}

# It tells an unknown key, and still ends well: whatever it says is a fault.
check_unit() {
  local unit="$DEV/unit/emcrm.service" said
  if ! command -v systemd-analyze >/dev/null; then
    say "  the systemd unit was NOT CHECKED: there is no systemd-analyze here"
    return
  fi
  mkdir -p "${unit%/*}"
  sed "s#^ExecStart=/usr/local/bin/emcrm#ExecStart=$BIN#" deploy/systemd/emcrm.service >"$unit"
  said="$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F emcrm || true)"
  [[ -z "$said" ]] || fail "$said"
  say "  deploy/systemd/emcrm.service: clean"
}

"$HADOLINT" deploy/docker/Dockerfile
say "  deploy/docker/Dockerfile: clean"
python3 scripts/image_context.py
check_compose
check_unit
shell_scripts | xargs -0 shellcheck --external-sources
say "  shell scripts: clean"
deploy/deploy.sh --help >/dev/null
deploy/deploy.sh --dry-run --example production --tag 1 >"$DEV/deploy-dry-run.txt"
grep -q 'terraform .* apply' "$DEV/deploy-dry-run.txt" || fail "the dry run of deploy.sh does not come to its apply"
say "  deploy/deploy.sh: its dry run goes to the end"
tests/deploy/run.sh
tests/deploy/local.sh
