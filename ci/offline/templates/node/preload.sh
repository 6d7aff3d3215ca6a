#!/bin/bash
# Runs in a bare node: unpacks the images of standard input (as `docker save` writes them) where containerd will look.
set -euo pipefail

containerd --config /etc/containerd/config.toml --root /preload/containerd --state /run/preload --address /run/preload.sock &
server=$!
until ctr --address /run/preload.sock version > /dev/null 2>&1; do sleep 0.1; done
ctr --address /run/preload.sock --namespace k8s.io images import --compress-blobs --snapshotter overlayfs -
ctr --address /run/preload.sock --namespace k8s.io images list --quiet
kill "$server"
wait "$server" || true
rm -rf /var/lib/containerd
cp -a /preload/containerd /var/lib/containerd
