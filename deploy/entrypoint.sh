#!/usr/bin/env bash
# Starts FLARE's server or client with the startup kit that is mounted at /kit. With arguments, runs them instead.
set -euo pipefail
umask 077 # logs name files and cases

kit="${FEDMED_KIT:-/kit}"
export NVFL_WORKSPACE="${NVFL_WORKSPACE:-/var/lib/fedmed/workspace}"

refuse() {
  echo "error: $1" >&2
  exit 2
}

check_kit() {
  [[ -d "$kit/startup" ]] ||
    refuse "$kit holds no startup kit ($kit/startup is not there); mount the folder that the coordinator sent, which holds startup and local."
  [[ ! -e "$kit/startup/fed_admin.json" ]] ||
    refuse "$kit is a person's kit; a container runs the kit of a server or of a site, so mount that."
  [[ -x "$kit/startup/sub_start.sh" ]] ||
    refuse "$kit/startup/sub_start.sh is not there or not executable; mount the kit as it was sent."
  local key
  for key in "$kit"/startup/*.key; do
    [[ -r "$key" ]] ||
      refuse "$key cannot be read by user $(id -u); give the kit to that user on the host: chown -R $(id -u):$(id -g) the kit's folder."
  done
}

check_workspace() {
  { mkdir -p "$NVFL_WORKSPACE" && [[ -w "$NVFL_WORKSPACE" ]]; } 2>/dev/null ||
    refuse "$NVFL_WORKSPACE cannot be written by user $(id -u); mount a volume there that belongs to that user."
}

check_data() {
  local name
  for name in DATASET_ROOT DATALIST_ROOT; do
    [[ -n "${!name:-}" ]] || refuse "$name is not set; name the site's folder in the environment file."
    [[ -r "${!name}" ]] || refuse "$name is ${!name}, which user $(id -u) cannot read; mount it, or correct its permissions."
  done
}

choose_code() {
  case "${FEDMED_CODE:-job}" in
    job) ;;
    site) export PYTHONPATH="/opt/fedmed/src:/opt/fedmed" ;; # comes before what a job brings along
    *) refuse "FEDMED_CODE is $FEDMED_CODE; expected job (the code that a job brings) or site (the code in this image)." ;;
  esac
}

if (($#)); then
  exec "$@"
fi
check_kit
check_workspace
[[ ! -e "$kit/startup/fed_client.json" ]] || check_data
choose_code
cd "$NVFL_WORKSPACE" # not in /opt/fedmed, which Python would then search for modules

# FLARE copies the kit into the workspace and becomes the process that is started here, without its own watchdog. It
# handles no signal, and the first process of a container ignores those it does not handle: this script passes them on.
"$kit/startup/sub_start.sh" --once &
trap 'kill -TERM $! 2>/dev/null || true' TERM INT
code=0
wait $! || code=$?
[[ ! -e "$NVFL_WORKSPACE/restart.fl" ]] || code=75 # an admin asked for a restart: the engine restarts what fails
exit "$code"
