#!/bin/sh
# kafka-server-start FILE [--override name=value]...
file=${1:?a server.properties file}
shift
for argument in "$@"; do
  shift
  [ "$argument" = --override ] && argument=-o
  set -- "$@" "$argument"
done
# Unquoted: words that `pykbroker serve` takes.
exec pykbroker serve --config "$file" "$@" ${PYKBROKER_ARGS:-}
