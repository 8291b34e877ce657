#!/bin/sh
# Writes users.acl with the passwords of the environment in it (as SHA-256, so they may hold any character), then becomes
# Redis.
set -eu

# hash TEXT
hash() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

umask 077
sed -e '/^#/d; /^$/d' \
    -e "s/#GATEWAY_PASSWORD/#$(hash "$GATEWAY_PASSWORD")/" \
    -e "s/#TICKER_PASSWORD/#$(hash "$TICKER_PASSWORD")/" \
    -e "s/#APP_PASSWORD/#$(hash "$APP_PASSWORD")/" \
    -e "s/#ADMIN_PASSWORD/#$(hash "$ADMIN_PASSWORD")/" \
    /etc/syncgate/users.acl >/tmp/users.acl
unset GATEWAY_PASSWORD TICKER_PASSWORD APP_PASSWORD ADMIN_PASSWORD
exec redis-server /etc/syncgate/redis.conf --aclfile /tmp/users.acl
