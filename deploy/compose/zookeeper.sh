#!/bin/sh
# One of the three ZooKeeper servers zk1, zk2, zk3: zookeeper.sh NUMBER
set -eu
mkdir -p /var/lib/zookeeper
echo "$1" > /var/lib/zookeeper/myid
cat > /etc/zookeeper.cfg <<'TEXT'
dataDir=/var/lib/zookeeper
clientPort=2181
tickTime=1000
initLimit=10
syncLimit=5
admin.enableServer=false
server.1=zk1:2888:3888
server.2=zk2:2888:3888
server.3=zk3:2888:3888
TEXT
exec java -Xmx128m -cp /usr/share/java/zookeeper.jar \
  org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/zookeeper.cfg
