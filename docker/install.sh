#!/bin/sh
# install.sh ROOT: the files of the image, under ROOT, from a checkout. The Python packages that
# pykbroker needs are not among them; they belong into ROOT/opt/pykbroker/lib as well.
set -eu
root=${1:?the root directory}
root=${root%/}
here=$(cd "$(dirname "$0")/.." && pwd)

mkdir -p "$root/opt/pykbroker/lib" "$root/opt/kafka/config" "$root/etc/kafka/secrets" \
  "$root/var/lib/kafka/data" "$root/mnt/shared/config" "$root/home/appuser" "$root/tmp"
cp -R "$here/docker/root/." "$root/"
chmod 755 "$root/etc/kafka/docker/run" "$root/opt/pykbroker/bin/"* "$root/opt/kafka/bin/"*
cp -R "$here/wire" "$here/pykbroker" "$root/opt/pykbroker/lib/"
chmod 1777 "$root/tmp"

# Kafka's tools are one program; they go by both names, and are where either image has them.
for tool in broker-api-versions configs console-consumer console-producer consumer-groups \
  get-offsets topics; do
  ln -sf /opt/pykbroker/bin/pykbroker-tool "$root/opt/kafka/bin/kafka-$tool.sh"
done
ln -sf pykbroker-tool "$root/opt/pykbroker/bin/cub"
mkdir -p "$root/usr/bin"
for tool in "$root/opt/kafka/bin/"*.sh; do
  name=$(basename "$tool" .sh)
  ln -sf "$name.sh" "${tool%.sh}"
  ln -sf "/opt/kafka/bin/$name.sh" "$root/usr/bin/$name"
done
# One file, by the names of both images; one place for data, by the names of all.
ln -sf /opt/kafka/config/server.properties "$root/etc/kafka/kafka.properties"
ln -sfn /var/lib/kafka/data "$root/tmp/kraft-combined-logs"
ln -sfn /var/lib/kafka/data "$root/tmp/kafka-logs"

# Start scripts are edited, and the user may be any.
chmod -R a+rwX "$root/etc/confluent/docker" "$root/etc/kafka" "$root/opt/kafka/config" \
  "$root/var/lib/kafka/data" "$root/home/appuser"
chmod a+x "$root/etc/confluent/docker/"[celr]* "$root/etc/kafka/docker/run"
