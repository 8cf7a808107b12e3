#!/usr/bin/env bash
# Checks deploy/terraform, and proves it against an emulator of AWS. ./dev.sh test terraform runs it.
#
#   scripts/terraform.sh check            fmt, validate, and checkov where VENV has it
#   scripts/terraform.sh prove EXAMPLE…   plan, apply, second plan, tables, destroy; several at once, each on an emulator of its own
#   scripts/terraform.sh options          plans production with all that it can have, dev with its own search domain, and what must be refused; makes the
#                                         sign-in to Dashboards
#   scripts/terraform.sh search           the search domain alone: the provider is silent for ten minutes before it looks
#
# ROOT, DEV: folders. BIN: the product. MOTO: a Python with moto. CHECKOV: the program, if there. TF_PLUGINS: a folder with the provider, else it is
# looked for in /opt and then fetched from Terraform's registry.
set -euo pipefail

: "${ROOT:?}" "${DEV:?}"
EXAMPLES=(dev production)
WORK="$DEV/terraform"
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE=/dev/null
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true
# Nothing of the caller's account is ever asked.
unset AWS_PROFILE AWS_SESSION_TOKEN

say() { printf '%s\n' "$*"; }
fail() {
  printf 'terraform.sh: %s\n' "$*" >&2
  exit 1
}

# init FOLDER: without a state elsewhere.
init() {
  local plugins="${TF_PLUGINS:-$(find /opt -maxdepth 1 -type d -name 'tf-plugins*' 2>/dev/null | head -n 1)}"
  terraform -chdir="$1" init -backend=false -no-color ${plugins:+-plugin-dir="$plugins"} >"$1/init.log" 2>&1 || {
    cat "$1/init.log" >&2
    return 1
  }
}

# copy NAME: a copy of the modules to work in, so that no state or plan comes near the repository.
copy() {
  rm -rf "${WORK:?}/$1"
  mkdir -p "$WORK/$1"
  cp -r "$ROOT/deploy/terraform/." "$WORK/$1"
}

check() {
  local example
  terraform fmt -check -recursive -diff "$ROOT/deploy/terraform"
  say "  fmt: clean"
  copy check
  for example in "${EXAMPLES[@]}"; do
    init "$WORK/check/examples/$example"
    terraform -chdir="$WORK/check/examples/$example" validate -no-color
  done
  if [[ -n "${CHECKOV:-}" ]]; then
    "$CHECKOV" --directory "$ROOT/deploy/terraform" --framework terraform --skip-download --quiet --compact
    say "  checkov: every finding is mended, or waived with a reason beside the resource"
  fi
}

# emulator NAME: starts one, sets AWS_ENDPOINT_URL and EMULATOR (its process).
emulator() {
  local port tries
  port="$(python3 "$ROOT/scripts/free_port.py")"
  MOTO_IAM_LOAD_MANAGED_POLICIES=true "${MOTO:?}" "$ROOT/tests/parts/moto/terraform_server.py" -H 127.0.0.1 -p "$port" >"$WORK/$1/moto.log" 2>&1 &
  EMULATOR=$!
  export AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_REGION=eu-central-1 AWS_DEFAULT_REGION=eu-central-1
  for ((tries = 0; tries < 900; tries++)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    kill -0 "$EMULATOR" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 20 "$WORK/$1/moto.log" >&2
  fail "the emulator did not start"
}

# The provider tries each failed request 25 times otherwise, for minutes. A few it must: the emulator closes a connection now and then while it answers.
emulated_provider() {
  cat >"$1/override.tf" <<'EOT'
provider "aws" {
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
  max_retries                 = 4
}
EOT
}

# settings EXAMPLE CERTIFICATE ZONE
settings() {
  case "$1" in
    dev)
      cat <<EOT
certificate_arn = "$2"
image_tag       = "1"
allowed_cidrs   = ["198.51.100.0/24"]
search          = null
EOT
      ;;
    production)
      cat <<EOT
host                   = "crm.example.org"
zone_id                = "$3"
mail_domain            = "example.org"
mail_event_destination = false
sign_in_prefix         = "emcrm-example"
alarm_addresses        = ["operator@example.org"]
image_tag              = "1"
allowed_cidrs          = ["198.51.100.0/24", "203.0.113.0/24"]
deletion_protection    = false
search                 = null
EOT
      ;;
    *) fail "there is no example $1" ;;
  esac
}

# timed WHAT COMMAND…: says how long it took; its output is shown only when it fails.
timed() {
  local what="$1" began=$SECONDS
  shift
  if ! "$@" >"$folder/$what.log" 2>&1; then
    grep -vE ': (Creating|Still creating|Creation complete|Reading|Read complete|Refreshing state)' "$folder/$what.log" | tail -n 60 >&2
    fail "$what of $example failed after $((SECONDS - began)) s"
  fi
  say "  $what: $((SECONDS - began)) s"
}

# begin EXAMPLE: sets folder, example and tf; the emulator ends with the shell.
begin() {
  local found
  example="$1"
  copy "$example"
  folder="$WORK/$example/examples/$example"
  tf=(terraform "-chdir=$folder")
  emulator "$example"
  trap 'kill "$EMULATOR" 2>/dev/null || true' EXIT
  emulated_provider "$folder"
  read -r -a found < <("$MOTO" "$ROOT/scripts/terraform/prepare.py")
  settings "$example" "${found[@]}" >"$folder/terraform.tfvars"
  init "$folder"
}

prove_one() {
  local left tables
  begin "$1"
  say "== $example"
  timed plan "${tf[@]}" plan -no-color -out="$folder/first.tfplan"
  say "  $(grep -E '^Plan:' "$folder/plan.log")"
  timed apply "${tf[@]}" apply -no-color "$folder/first.tfplan"
  say "  $(grep -E '^Apply complete' "$folder/apply.log")"
  timed second-plan "${tf[@]}" plan -no-color -out="$folder/second.tfplan"
  "${tf[@]}" show -json "$folder/second.tfplan" | python3 "$ROOT/scripts/terraform/changes.py"
  tables="$("${tf[@]}" output -json emcrm | python3 -c 'import json, sys; t = json.load(sys.stdin)["tables"]; print(t["main"], t["email"])')"
  # shellcheck disable=SC2086 # two names
  "$BIN" init-db --print | "$MOTO" "$ROOT/scripts/terraform/tables.py" $tables
  # And the comparison notices what differs.
  # shellcheck disable=SC2086
  if "$BIN" init-db --print | python3 -c 'import json, sys; d = json.load(sys.stdin); d["tables"][1]["indexes"].pop(); print(json.dumps(d))' |
    "$MOTO" "$ROOT/scripts/terraform/tables.py" $tables >/dev/null 2>&1; then
    fail "the comparison of tables does not notice an index too many"
  fi
  timed destroy "${tf[@]}" destroy -no-color -auto-approve
  left="$("${tf[@]}" state list)"
  [[ -z "$left" ]] || fail "destroy of $example left: $left"
  say "  $(grep -E '^Destroy complete' "$folder/destroy.log")"
}

prove() {
  local one failed="" running=()
  : "${BIN:?}" "${MOTO:?}"
  for one in "$@"; do
    mkdir -p "$WORK"
    (prove_one "$one") >"$WORK/$one.out" 2>&1 &
    running+=("$!:$one")
  done
  for one in "${running[@]}"; do
    wait "${one%%:*}" || failed+=" ${one#*:}"
    cat "$WORK/${one#*:}.out"
  done
  [[ -z "$failed" ]] || fail "not proven:$failed"
}

# search_settings NAME=VALUE…: a search domain large enough for warm nodes, with these options, instead of that of the settings.
search_settings() {
  {
    printf 'search = {\n  instance_type = "r7g.large.search", instance_count = 3, volume_gib = 100, auto_tune = true\n'
    printf '  %s\n' "$@"
    printf '}\n'
  } >"$folder/search.auto.tfvars"
}

# refused WHAT WORDS…: the plan fails, and says all of it.
refused() {
  local what="$1" words
  shift
  if "${tf[@]}" plan -no-color >"$folder/refused.log" 2>&1; then fail "$what was planned"; fi
  for words in "$@"; do
    grep -qF "$words" "$folder/refused.log" || {
      tail -n 20 "$folder/refused.log" >&2
      fail "$what was not refused with: $words"
    }
  done
  say "  refused: $what"
}

# What an installation has that is in use, and no emulator takes.
in_use() {
  cat >"$folder/in-use.auto.tfvars" <<'EOT'
mail_event_destination = true
mail_events_public     = true
deletion_protection    = true
EOT
}

# With the search domain that the example has by itself.
dev_as_it_is() {
  begin dev
  say "== dev with its own search domain"
  sed -i '/^search /d' "$folder/terraform.tfvars"
  timed plan "${tf[@]}" plan -no-color -out="$folder/options.tfplan"
  say "  $(grep -E '^Plan:' "$folder/plan.log")"
  "${tf[@]}" show -json "$folder/options.tfplan" | python3 "$ROOT/scripts/terraform/options.py" none
}

# The domain is planned only, because its apply takes more than ten minutes. The sign-in to its Dashboards is made, but for what OpenSearch Service adds.
options() {
  (dev_as_it_is)
  begin production
  say "== production with all of its options"
  in_use
  search_settings 'dedicated_masters = 3' 'warm_nodes = 2' 'public = true' 'dashboards_prefix = "emcrm-example-search"'
  timed plan "${tf[@]}" plan -no-color -out="$folder/options.tfplan"
  say "  $(grep -E '^Plan:' "$folder/plan.log")"
  "${tf[@]}" show -json "$folder/options.tfplan" | python3 "$ROOT/scripts/terraform/options.py" all
  rm "$folder/in-use.auto.tfvars"
  timed apply "${tf[@]}" apply -no-color -auto-approve -target=module.emcrm.module.dashboards
  say "  $(grep -E '^Apply complete' "$folder/apply.log")"
  timed second-plan "${tf[@]}" plan -no-color -target=module.emcrm.module.dashboards -out="$folder/second.tfplan"
  "${tf[@]}" show -json "$folder/second.tfplan" | python3 "$ROOT/scripts/terraform/changes.py"
  search_settings 'dedicated_masters = 3' 'warm_nodes = 0'
  timed plain-plan "${tf[@]}" plan -no-color -out="$folder/plain.tfplan"
  "${tf[@]}" show -json "$folder/plain.tfplan" | python3 "$ROOT/scripts/terraform/options.py" none
  search_settings 'dedicated_masters = 0' 'warm_nodes = 2'
  refused "warm nodes without dedicated masters" "Warm nodes need dedicated masters"
  search_settings 'dedicated_masters = 3' 'warm_nodes = 0' 'dashboards_prefix = "our-aws-search"'
  refused "a sign-in page with aws in its name" "without the words aws"
  rm "$folder/search.auto.tfvars"
  cat >"$folder/wrong_override.tf" <<'EOT'
module "emcrm" {
  zone_id                = null
  mail_domain            = null
  mail_rate              = 7
  point_in_time_recovery = false
}
EOT
  refused "what does not go together" "Give zone_id or certificate_arn" "backup_keep_days needs point_in_time_recovery" "mail_zone_id needs mail_domain" "mail_rate is less than worker.max"
}

# The domain of the example production, with what it stands on.
search() {
  begin production
  sed -i '/^search /d' "$folder/terraform.tfvars"
  say "== search domain (more than ten minutes)"
  timed apply "${tf[@]}" apply -no-color -auto-approve -target=module.emcrm.module.opensearch
  say "  $(grep -E '^Apply complete' "$folder/apply.log")"
  timed second-plan "${tf[@]}" plan -no-color -target=module.emcrm.module.opensearch -out="$folder/second.tfplan"
  "${tf[@]}" show -json "$folder/second.tfplan" | python3 "$ROOT/scripts/terraform/changes.py"
}

command -v terraform >/dev/null || fail "terraform is missing"
case "${1:-}" in
  check) check ;;
  prove)
    shift
    [[ $# -gt 0 ]] || set -- "${EXAMPLES[@]}"
    prove "$@"
    ;;
  options) options ;;
  search) search ;;
  *) fail "say check, prove, options or search" ;;
esac
