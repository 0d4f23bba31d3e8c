# Shared by the scripts of this folder: progress on what takes long, packages, one build.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=${TDA_LOG_DIR:-$root/build/logs}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' off=$'\e[0m'; else bold='' dim='' red='' green='' off=''; fi

die() {
  printf '%s%s: %s%s\n' "$red" "${0##*/}" "$1" "$off" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# step NAME COMMAND...: runs it with its output in a log; one line when it is done, the log's end when it fails.
step() {
  local name=$1 start=$SECONDS log
  shift
  mkdir -p "$logs"
  log=$logs/$(echo "$name" | tr -c 'a-zA-Z0-9\n' '-').log
  if [ -t 1 ]; then printf '%s ...' "$name"; fi
  if "$@" >"$log" 2>&1 </dev/null; then
    if [ -t 1 ]; then printf '\r'; fi
    printf '%sok%s  %s %s(%ss)%s\n' "$green" "$off" "$name" "$dim" $((SECONDS - start)) "$off"
  else
    local code=$?
    printf '\n%sFAILED  %s (%ss, exit %s)%s\n' "$red" "$name" $((SECONDS - start)) "$code" "$off"
    printf '%s\n' "--- the end of $log"
    tail -n 60 "$log"
    return 1
  fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    die "packages are missing and this is neither root nor has sudo" "as root: apt-get install $*"
  fi
}

# need PACKAGE...: installs what is missing.
need() {
  local missing=()
  for p in "$@"; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p"); done
  [ ${#missing[@]} = 0 ] && return 0
  command -v apt-get >/dev/null || die "these Debian packages are missing: ${missing[*]}" "install them, or their like, and run this again"
  step "packages: ${missing[*]}" install_packages "${missing[@]}" ||
    die "could not install ${missing[*]}" "check the network and apt's sources, then run this again"
}

install_packages() {
  as_root apt-get update -q || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

build_packages=(build-essential cmake ninja-build pkg-config libyaml-dev libnng-dev libcurl4-openssl-dev libssl-dev libsimdjson-dev libsodium-dev
  libsqlite3-dev sqlite3 uthash-dev libedit-dev libncurses-dev ca-certificates)
