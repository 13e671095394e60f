#!/bin/sh
# Take the keys that the tests made, start Docker's engine where it is installed, become sshd.
set -eu
install -d -m 700 /root/.ssh
echo "$AUTHORIZED_KEY" >/root/.ssh/authorized_keys
echo "$HOST_KEY" | base64 -d >/etc/ssh/ssh_host_ed25519_key
chmod 600 /etc/ssh/ssh_host_ed25519_key
if command -v dockerd >/dev/null; then
    start-engine
fi
exec /usr/sbin/sshd -D -e -o HostKey=/etc/ssh/ssh_host_ed25519_key
