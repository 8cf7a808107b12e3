#!/usr/bin/env bash
# Brings a version of the product to AWS: build, push, plan, apply, smoke test, and back where that fails. --help tells more.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
EXAMPLE=""
TAG=""
VAR_FILE=""
DRY_RUN=no
YES=no
BUILD=yes
ROLLBACK=no
WAIT_SECONDS=900

usage() {
  cat <<'EOT'
Usage: deploy/deploy.sh --example NAME [OPTIONS]

Builds the image, pushes it, plans, applies, waits until the services are stable, and asks the product whether it is well.
Where it is not, the version that ran before is applied again.

  --example NAME    folder of deploy/terraform/examples: dev, production, or your own copy of one
  --tag TAG         name of this version; without it the commit, which must be clean
  --var-file FILE   values for Terraform; without it NAME's own terraform.tfvars
  --no-build        the image is in the repository already
  --rollback        go back: apply --tag, which must be in the repository, without building; its changes are shown and asked for as ever
  --yes             do not ask before the apply
  --wait SECONDS    how long services may take to become stable (default 900)
  --dry-run         print the commands and run none
  --help            this text

Needs: terraform 1.5 or newer, docker, aws, curl, and credentials of AWS in the environment. The state's backend is set up once, by hand:
docs/DEPLOY.md says how. Before the very first run the repository and the secrets are made, as described there.

Exit status: 0 it runs and is well; 1 it failed, and what ran before runs again where there was something; 2 the command line is wrong.
EOT
}

say() { printf '%s\n' "$*"; }
fail() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 1
}
wrong() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 2
}

# Runs a command, or shows it.
run() {
  if [[ "$DRY_RUN" == yes ]]; then
    printf '+'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# An answer of Terraform, or a word in capitals where nothing is run.
output() {
  if [[ "$DRY_RUN" == yes ]]; then
    printf '%s' "${1^^}"
  else
    tf output -json emcrm 2>/dev/null | python3 -c 'import json, sys; v = json.load(sys.stdin)[sys.argv[1]]; print(v if isinstance(v, str) else " ".join(sorted(v.values())))' "$1" 2>/dev/null ||
      fail "this installation does not say its $1 yet: make the repository and the secrets first, as docs/DEPLOY.md says"
  fi
}

tf() { terraform "-chdir=$FOLDER" "$@"; }

# apply TAG: what is planned is what is applied.
apply() {
  local plan="$PLANS/emcrm.tfplan" answer=""
  run terraform "-chdir=$FOLDER" plan -input=false "${VARS[@]}" -var "image_tag=$1" "-out=$plan"
  if [[ "$YES" == no && "$DRY_RUN" == no ]]; then
    read -r -p "Apply this plan? [y/N] " answer || true
    [[ "$answer" == [yY]* ]] || fail "nothing was applied"
  fi
  run terraform "-chdir=$FOLDER" apply -input=false "$plan"
}

# running_tag CLUSTER SERVICE: the tag that runs, or nothing before the first time.
running_tag() {
  local definition
  definition="$(aws ecs describe-services --cluster "$1" --services "$2" --query 'services[0].taskDefinition' --output text 2>/dev/null)" || return 0
  [[ "$definition" == arn:* ]] || return 0
  aws ecs describe-task-definition --task-definition "$definition" --query "taskDefinition.containerDefinitions[?name=='emcrm'].image | [0]" --output text | sed 's/.*://'
}

# Both services run the new version, and none is being replaced any more. ECS itself goes back when tasks do not get healthy; so the version is asked for.
wait_until_stable() {
  local cluster="$1" tag="$2" deadline=$((SECONDS + WAIT_SECONDS)) waiting service
  if [[ "$DRY_RUN" == yes ]]; then
    run aws ecs describe-services --cluster "$cluster" --services api worker
    return
  fi
  while ((SECONDS < deadline)); do
    # shellcheck disable=SC2016 # the backquotes are the query's
    waiting="$(aws ecs describe-services --cluster "$cluster" --services api worker --query 'services[?length(deployments) > `1` || runningCount < desiredCount].serviceName' --output text)" || waiting="an answer of AWS"
    if [[ -z "$waiting" ]]; then
      for service in api worker; do
        [[ "$(running_tag "$cluster" "$service")" != "$tag" ]] || continue
        say "ECS went back by itself: tasks of $tag in $service did not get healthy. Their log says why."
        return 1
      done
      return 0
    fi
    say "waiting for: $waiting"
    sleep 15
  done
  say "The services are not stable after $WAIT_SECONDS seconds."
  return 1
}

# From outside, over HTTPS. Where only some networks may reach the product, run this from one of them.
smoke_test() {
  local url="$1" path
  for path in /health/live /health/ready /health; do
    run curl --fail --silent --show-error --max-time 10 --retry 5 --retry-delay 3 --retry-all-errors --output /dev/null "$url$path" || return 1
  done
  # Plain HTTP is sent on.
  run curl --fail --silent --show-error --max-time 10 --location --output /dev/null "http://${url#https://}/health/live" || return 1
}

# Where the sources come from, for a label of the image: without a name and password, should one stand in it.
source_address() {
  local address
  address="$(git -C "$ROOT" remote get-url origin 2>/dev/null)" || address=unknown
  sed -E 's#://[^/@]*@#://#' <<<"$address"
}

build_and_push() {
  local repository="$1" version source
  version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)"
  source="$(source_address)"
  run docker build --platform linux/amd64 --file "$ROOT/deploy/docker/Dockerfile" --tag "$repository:$TAG" \
    --build-arg "EMCRM_COMMIT=$TAG" --build-arg "EMCRM_VERSION=$version" --build-arg "EMCRM_SOURCE=$source" "$ROOT"
  if [[ "$DRY_RUN" == yes ]]; then
    say "+ aws ecr get-login-password | docker login --username AWS --password-stdin ${repository%%/*}"
  else
    aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}"
  fi
  run docker push "$repository:$TAG"
}

# live CLUSTER URL TAG
live() { wait_until_stable "$1" "$3" && smoke_test "$2"; }

while (($# > 0)); do
  case "$1" in
    --example | --tag | --var-file | --wait)
      [[ $# -ge 2 ]] || wrong "$1 needs a value"
      case "$1" in
        --example) EXAMPLE="$2" ;;
        --tag) TAG="$2" ;;
        --var-file) VAR_FILE="$2" ;;
        --wait) WAIT_SECONDS="$2" ;;
      esac
      shift
      ;;
    --no-build) BUILD=no ;;
    --rollback) ROLLBACK=yes BUILD=no ;;
    --yes) YES=yes ;;
    --dry-run) DRY_RUN=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) wrong "unknown option $1; --help lists them" ;;
  esac
  shift
done

[[ -n "$EXAMPLE" ]] || wrong "say which installation: --example production"
FOLDER="$ROOT/deploy/terraform/examples/$EXAMPLE"
[[ -d "$FOLDER" ]] || wrong "there is no folder $FOLDER"
[[ "$WAIT_SECONDS" =~ ^[1-9][0-9]*$ ]] || wrong "--wait is a number of seconds"
[[ "$ROLLBACK" == no || -n "$TAG" ]] || wrong "--rollback needs the tag to go back to"
VARS=()
if [[ -n "$VAR_FILE" ]]; then
  [[ -f "$VAR_FILE" ]] || wrong "there is no file $VAR_FILE"
  VARS=("-var-file=$(realpath "$VAR_FILE")")
fi
if [[ -z "$TAG" ]]; then
  [[ -z "$(git -C "$ROOT" status --porcelain)" ]] || fail "there are changes that are in no commit; commit them, or name the version: --tag"
  TAG="$(git -C "$ROOT" rev-parse --short=12 HEAD)"
fi
[[ "$TAG" =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ && "$TAG" != latest ]] || wrong "a tag that means one image for ever, not $TAG"
if [[ "$DRY_RUN" == no ]]; then
  for tool in terraform aws curl python3; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
  [[ "$BUILD" == no ]] || command -v docker >/dev/null || fail "docker is missing; --no-build does without"
fi

# A plan holds secrets: it lies where nobody else reads, and goes at the end.
PLANS="$(mktemp -d)"
trap 'rm -rf "$PLANS"' EXIT

BACKEND=()
if [[ -f "$FOLDER/backend.hcl" ]]; then BACKEND=(-backend-config=backend.hcl); fi
run terraform "-chdir=$FOLDER" init -input=false "${BACKEND[@]}"
repository="$(output repository_url)"
cluster="$(output cluster)"
url="$(output url)"
before="$(if [[ "$DRY_RUN" == yes ]]; then printf BEFORE; else running_tag "$cluster" api; fi)"
say "Version $TAG for $url; ${before:-nothing} runs."

if [[ "$BUILD" == yes ]]; then build_and_push "$repository"; fi
apply "$TAG"
if live "$cluster" "$url" "$TAG"; then
  say "$TAG runs and is well: $url"
  exit 0
fi

if [[ -z "$before" || "$before" == "$TAG" ]]; then fail "$TAG is not well, and nothing else ran before"; fi
say "$TAG is not well: back to $before."
YES=yes
apply "$before"
live "$cluster" "$url" "$before" || fail "$before is not well either: look at the logs, $(output logs)"
fail "$TAG was not well; $before runs again"
