#!/bin/bash
# kafka-storage random-uuid
# kafka-storage format --cluster-id ID --config FILE [--ignore-formatted]: gives log directories
# their cluster id, before the broker that would otherwise make one up.
set -o nounset -o errexit

usage() {
  echo "kafka-storage: $1" >&2
  exit 2
}

fail() {
  echo "kafka-storage: $1" >&2
  exit 1
}

random_uuid() {
  local id
  while id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =); [[ $id == -* ]]; do :; done
  echo "$id"
}

property() { sed -n -E "s/^[[:space:]]*($1)[[:space:]]*[=:][[:space:]]*(.*)/\2/p" "$config" | tail -n 1; }

[ $# -gt 0 ] || usage "random-uuid or format"
command=$1
shift
case $command in
  random-uuid) random_uuid; exit ;;
  format) ;;
  *) usage "$command is not random-uuid or format" ;;
esac

cluster="" config="" ignore=""
while [ $# -gt 0 ]; do
  case $1 in
    -t | --cluster-id) cluster=${2:?}; shift ;;
    -c | --config) config=${2:?}; shift ;;
    --cluster-id=*) cluster=${1#*=} ;;
    --config=*) config=${1#*=} ;;
    -g | --ignore-formatted) ignore=1 ;;
    -s | --standalone | -N | --no-initial-controllers) ;;
    *) usage "$1 is not supported" ;;
  esac
  shift
done
[ -n "$cluster" ] || usage "--cluster-id is required"
[ -r "$config" ] || usage "cannot read --config ${config:-FILE}"

node=$(property 'node\.id')
[ -n "$node" ] || node=$(property 'broker\.id')
dirs=$(property 'log\.dirs')
[ -n "$dirs" ] || dirs=$(property 'log\.dir')
[ -n "$dirs" ] || fail "log.dirs is empty in $config: set KAFKA_LOG_DIRS, or leave it out"
IFS=', ' read -r -a directories <<<"$dirs"
for directory in "${directories[@]}"; do
  meta=$directory/meta.properties
  if [ -e "$meta" ]; then
    [ -n "$ignore" ] || fail "Log directory $directory is already formatted."
    continue
  fi
  said=$(mkdir -p "$directory" 2>&1) || fail "cannot make log directory $directory: ${said##*: }"
  [ -w "$directory" ] || fail "user $(id -u) cannot write to log directory $directory: give it to that \
user, or run the container as its owner"
  printf '%s\n' version=1 "cluster.id=$cluster" "node.id=${node:-1}" \
    "directory.id=$(random_uuid)" pykbroker.format.version=1 >"$meta.tmp"
  mv "$meta.tmp" "$meta"
  echo "Formatting $directory with cluster id $cluster"
done
