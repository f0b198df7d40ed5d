#!/bin/sh
# Some start a ZooKeeper beside the broker; there is nothing that it would be asked.
echo "zookeeper-server-start: pykbroker needs none"
