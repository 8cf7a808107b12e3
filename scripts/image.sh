#!/usr/bin/env bash
# Builds the image from deploy/docker/Dockerfile as it is, where no engine and no registry of images can be reached: on bases made here, under the names that
# the Dockerfile uses. Then starts it as in production (not as root, with a read-only root, without capabilities), waits until it is well and
# shows the made-up community, and says how large it is and how long that took. What it does not show: the published bases, and a push. ./dev.sh image runs it.
#
# ROOT, DEV: folders. DEBIAN_MIRROR: where Debian's packages come from, if not from Debian itself. The bases and the layers stay in $DEV/image, so that the
# second time takes as long as the product does to compile.
set -euo pipefail

: "${ROOT:?}" "${DEV:?}"
DOCKERFILE="$ROOT/deploy/docker/Dockerfile"
WORK="$DEV/image"
IMAGE=localhost/emcrm:local
NAME="emcrm-image-$$"
# podman takes no long path here.
RUN="$(mktemp -d /tmp/emcrm-image.XXXXXX)"
STORE=(--root "$WORK/store" --runroot "$RUN")
PODMAN=(podman "${STORE[@]}" --runtime runc --cgroup-manager cgroupfs)
# Building needs no namespaces of its own so.
export STORAGE_DRIVER=overlay BUILDAH_ISOLATION=chroot

say() { printf '%s\n' "$*"; }
fail() {
  printf 'image.sh: %s\n' "$*" >&2
  exit 1
}

# quietly WHAT COMMAND…: says how long it took; what it said is shown only when it fails.
quietly() {
  local what="$1" began=$SECONDS
  shift
  if ! "$@" >"$WORK/$what.log" 2>&1; then
    tail -n 40 "$WORK/$what.log" >&2
    fail "$what failed after $((SECONDS - began)) s; all of it is in $WORK/$what.log"
  fi
  say "  $what: $((SECONDS - began)) s"
}

end() {
  "${PODMAN[@]}" rm --force --time 5 --volumes "$NAME" >/dev/null 2>&1 || true
  rm -rf "$RUN"
}

there() { "${PODMAN[@]}" image exists "localhost/$1"; }

# build FOLDER OPTION…: nothing is asked of a registry. In the form of docker, because the other one has no health check.
build() {
  local folder="$1"
  shift
  buildah "${STORE[@]}" bud --pull-never --layers --network host --format docker "$@" "$folder"
}

# debian_base NAME, such as debian:bookworm-slim
debian_base() {
  local suite="${1#*:}"
  if there "$1"; then return; fi
  rm -rf --one-file-system "$WORK/rootfs"
  quietly debootstrap debootstrap --variant=minbase "${suite%%-*}" "$WORK/rootfs" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
  # A file, because an import of a pipe makes an empty image without a word.
  tar -C "$WORK/rootfs" --numeric-owner -cf "$WORK/base.tar" .
  quietly import "${PODMAN[@]}" import --quiet "$WORK/base.tar" "$1"
  rm -rf --one-file-system "$WORK/rootfs" "$WORK/base.tar"
}

# rust_base NAME DEBIAN, such as rust:1.95-slim-bookworm: the toolchain of this machine, if it is of that version, and the authorities that it trusts.
rust_base() {
  local name="$1" debian="$2" version sysroot certificates="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" folder="$WORK/rust"
  if there "$name"; then return; fi
  version="${name#*:}"
  version="${version%%-*}"
  sysroot="$(rustc --print sysroot)"
  if [[ "$("$sysroot/bin/rustc" --version)" != "rustc $version."* ]]; then
    sysroot="$(rustup run "$version" rustc --print sysroot 2>/dev/null)" || fail "Rust $version is not here; rustup toolchain install $version fetches it"
  fi
  [[ -f "$certificates" ]] || fail "there are no certificate authorities in $certificates: install ca-certificates"
  rm -rf "$folder"
  mkdir -p "$folder/toolchain"
  cp -r "$sysroot/bin" "$sysroot/lib" "$folder/toolchain/"
  cp -L "$certificates" "$folder/certificates.crt"
  cat >"$folder/Dockerfile" <<EOT
FROM $debian
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates && rm -rf /var/lib/apt/lists/*
COPY toolchain /usr/local
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
EOT
  quietly rust build "$folder" --file "$folder/Dockerfile" --tag "$name"
  rm -rf "$folder"
}

# answers PID PORT: milliseconds until /health answers 200; fails when the process PID is gone, or after 30 seconds.
answers() {
  python3 - "$@" <<'PY'
import os, sys, time, urllib.error, urllib.request
pid, port = map(int, sys.argv[1:])
begin = time.monotonic()
while time.monotonic() < begin + 30:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            if answer.status == 200:
                print(round((time.monotonic() - begin) * 1000))
                sys.exit(0)
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit("the container ended before it answered")
    time.sleep(0.005)
sys.exit("/health did not answer 200 within 30 seconds")
PY
}

# shows_demo PORT: the application's first page names an event of the made-up community, as the API tells it.
shows_demo() {
  python3 - "$1" <<'PY'
import html, json, sys, urllib.request
def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}{path}", timeout=10) as answer:
        if answer.status != 200:
            sys.exit(f"{path} answers {answer.status}")
        return answer.read().decode()
titles = [event["title"] for event in json.loads(ask("/events"))["items"]]
page = html.unescape(ask("/app"))
if not any(title in page for title in titles):
    sys.exit(f"/app shows none of the {len(titles)} events: {', '.join(titles)}")
PY
}

# An engine, and compose, ask by it whether the container is well. podman run is told below not to: there is no systemd here that would do it.
health_check() {
  "${PODMAN[@]}" image inspect "$IMAGE" | python3 -c '
import json, sys
image = json.load(sys.stdin)[0]
found = (image.get("Healthcheck") or image.get("HealthCheck") or image["Config"].get("Healthcheck") or {}).get("Test")
if found != ["CMD", "emcrm", "doctor", "--live"]:
    sys.exit(f"the health check of the image is {found}")
'
}

# label NAME VALUE: the image has it.
label() {
  local found
  found="$("${PODMAN[@]}" image inspect --format "{{index .Labels \"org.opencontainers.image.$1\"}}" "$IMAGE")"
  [[ "$found" == "$2" ]] || fail "the label $1 is $found, not $2"
}

run() {
  local port container process took size status=0
  port="$(python3 "$ROOT/scripts/free_port.py")"
  # Limits are given because the usual ones may be more than the machine allows.
  "${PODMAN[@]}" run --name "$NAME" --network host --no-healthcheck --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --read-only --cap-drop=all \
    --security-opt no-new-privileges --env "APP_API_PORT=$port" "$IMAGE" serve --demo >"$WORK/run.log" 2>&1 &
  container=$!
  took="$(answers "$container" "$port")" || {
    tail -n 40 "$WORK/run.log" >&2
    fail "the image does not get well"
  }
  process="$("${PODMAN[@]}" inspect --format '{{.State.Pid}}' "$NAME")"
  [[ "$(stat -c %u "/proc/$process")" == 10001 ]] || fail "it runs as user $(stat -c %u "/proc/$process")"
  awk '$5 == "/" && $6 ~ /(^|,)ro(,|$)/ { found = 1 } END { exit !found }' "/proc/$process/mountinfo" || fail "its root can be written to"
  grep -qE '^CapEff:\s0+$' "/proc/$process/status" || fail "it has capabilities"
  "${PODMAN[@]}" exec "$NAME" emcrm doctor --live >"$WORK/health.log" 2>&1 || {
    cat "$WORK/health.log" >&2
    fail "the command of the health check does not say that it is well"
  }
  shows_demo "$port" || fail "it does not serve the application"
  size="$("${PODMAN[@]}" image inspect --format '{{.Size}}' "$IMAGE")"
  say "  $((size / 1000000)) MB; /health answers 200 after $took ms of podman run; /app shows the made-up community"
  say "  it runs as user 10001, its root cannot be written to, and it has no capabilities"
  "${PODMAN[@]}" stop --time 20 "$NAME" >/dev/null
  wait "$container" || status=$?
  ((status == 0)) || fail "it ended with $status when it was asked to"
  say "  it ends when it is asked to"
}

for tool in buildah podman runc debootstrap rustc python3; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
[[ "$(id -u)" == 0 ]] || fail "a base can be made by root only"
trap end EXIT
mkdir -p "$WORK"
# What podman remembers of containers that are gone, among it the folder RUN of an earlier time, which it would insist on.
rm -rf --one-file-system "$WORK/store/libpod" "$WORK/store/db.sql"

# FROM NAME, and FROM NAME AS STAGE.
mapfile -t bases < <(sed -n 's/^FROM \([^ ]*\).*/\1/p' "$DOCKERFILE" | sort -u)
for base in "${bases[@]}"; do
  case "$base" in
    debian:*)
      debian_base "$base"
      debian="$base"
      ;;
  esac
done
for base in "${bases[@]}"; do
  case "$base" in
    debian:*) ;;
    rust:*) rust_base "$base" "${debian:?}" ;;
    *) fail "nobody knows how to make $base" ;;
  esac
done
commit="$(git -C "$ROOT" rev-parse --short=12 HEAD)"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)"
quietly image build "$ROOT" --file "$DOCKERFILE" --tag "$IMAGE" --build-arg "EMCRM_COMMIT=$commit" --build-arg "EMCRM_VERSION=$version" --build-arg EMCRM_SOURCE=here
label revision "$commit"
label version "$version"
label source here
health_check || fail "the image lost its health check"
run
