#!/usr/bin/env bash
# What deploy/deploy.sh does when things go well and when they do not, with stubs for everything that it calls.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

STAGE="$(mktemp -d)"
export STAGE
trap 'rm -rf "$STAGE"' EXIT
mkdir "$STAGE/bin"
for name in terraform aws docker curl; do ln -s "$PWD/tests/deploy/stubs/cloud" "$STAGE/bin/$name"; done

# check RULE STATUS RUNNING SAID BEFORE [OPTION…]: with BEFORE running, the script ends with STATUS, RUNNING runs, and it said SAID.
check() {
  local rule="$1" status="$2" runs="$3" said="$4" before="$5" got=0 why=""
  shift 5
  : >"$STAGE/calls"
  printf '%s' "$before" >"$STAGE/running"
  PATH="$STAGE/bin:$PATH" deploy/deploy.sh --example production "$@" >"$STAGE/said" 2>&1 </dev/null || got=$?
  [[ "$got" == "$status" ]] || why+=" It ended with $got, not $status."
  [[ "$(cat "$STAGE/running")" == "$runs" ]] || why+=" $(cat "$STAGE/running") runs, not $runs."
  grep -qF -- "$said" "$STAGE/said" || why+=" It did not say: $said."
  if [[ -n "$why" ]]; then
    printf '%s:%s\n' "$rule" "$why" >&2
    cat "$STAGE/said" "$STAGE/calls" >&2
    exit 1
  fi
}

called() { grep -qE -- "$1" "$STAGE/calls" || { printf 'It never called: %s\n' "$1" >&2 && cat "$STAGE/calls" >&2 && exit 1; }; }
never_called() { if grep -E -- "$1" "$STAGE/calls" >&2; then printf 'It called: %s\n' "$1" >&2 && exit 1; fi; }

check "a good version stays" 0 two "two runs and is well" one --tag two --yes
called '^docker push 1.dkr.ecr.test/emcrm:two$'
called '^docker build .*EMCRM_COMMIT=two .*EMCRM_VERSION=[0-9]+\.[0-9]+\.[0-9]+ '
called '^curl .*https://crm.example.org/health/ready$'

BROKEN=two check "a version that does not answer goes back" 1 one "two was not well; one runs again" one --tag two --yes
called 'plan .*image_tag=one'
UNHEALTHY=two check "a version that ECS takes back is no success" 1 one "ECS went back by itself" one --tag two --yes
WORKER=one check "a worker that ECS takes back is no success" 1 one "two in worker did not get healthy" one --tag two --yes
BROKEN=two check "without a former version nothing is gone back to" 1 two "nothing else ran before" "" --tag two --yes

check "without a yes nothing is applied" 1 one "nothing was applied" one --tag two
never_called 'terraform .* apply'
check "going back builds nothing" 0 one "one runs and is well" two --rollback --tag one --yes
never_called '^docker'
NOTHING_YET=1 check "before the first time it says what to do" 1 one "docs/DEPLOY.md" one --tag two --yes
never_called '^docker'

check "latest is no version" 2 one "one image for ever" one --tag latest
check "going back needs a version" 2 one "needs the tag" one --rollback
check "an unknown word is refused" 2 one "unknown option" one --tga two
check "a dry run calls nothing" 0 one "+ docker push" one --tag two --dry-run
[[ ! -s "$STAGE/calls" ]] || { cat "$STAGE/calls" >&2 && exit 1; }
printf '  deploy/deploy.sh: 12 rules, with stubs\n'
