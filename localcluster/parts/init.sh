#!/bin/bash
# Pid 1 of a node: makes the node's own view of the file system, then runs containerd and the kubelet.
# Environment: NODE, FOLDER (the node's disk), LOGS, BINFMT (a line to register, may be empty),
# CONTAINERD, KUBELET (programs), KUBELET_ARGS.
# Ends when either daemon ends, and the whole node with it: the next `up` sees one dead part and starts it again.
set -eu
hostname "$NODE"
mount -t tmpfs -o mode=755 "node-$NODE-run" /run
mkdir -p /run/netns /run/cg
for name in containerd kubelet cni; do
  mkdir -p "/var/lib/$name"
  mount --bind "$FOLDER/var-lib-$name" "/var/lib/$name"
done
mount --bind "$FOLDER/var-log" /var/log
# A fresh sysfs belongs to the node's network namespace; the cgroup mounts below the old one are moved over.
mount --rbind /sys/fs/cgroup /run/cg
umount -l /sys
mount -t sysfs sysfs /sys
mount --rbind /run/cg /sys/fs/cgroup
umount -l /run/cg
if [ -n "$BINFMT" ]; then
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  name=${BINFMT#:}
  [ -e "/proc/sys/fs/binfmt_misc/${name%%:*}" ] || printf '%s\n' "$BINFMT" > /proc/sys/fs/binfmt_misc/register
fi
# Only now: done earlier, the unmounting above would reach the copies too.
mount --make-rshared /
"$CONTAINERD" -c "$FOLDER/etc/containerd.toml" >> "$LOGS/$NODE-containerd.log" 2>&1 &
containerd=$!
# A kubelet that finds no socket ends at once.
for _ in $(seq 300); do
  [ -S /run/containerd/containerd.sock ] && break
  kill -0 "$containerd" 2> /dev/null || exit 1
  sleep 0.1
done
# shellcheck disable=SC2086 # the arguments are words
"$KUBELET" $KUBELET_ARGS >> "$LOGS/$NODE-kubelet.log" 2>&1 &
kubelet=$!
wait -n "$containerd" "$kubelet" || true
exit 1
