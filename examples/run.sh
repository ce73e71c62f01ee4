#!/bin/sh
# Starts the service with examples/paramedic.yaml. What the environment does not set is made up for a first look: random
# tokens, kept in var/tokens/ and readable only by you, and the usual address of a database on this machine.
set -eu
cd "$(dirname "$0")/.."
[ -d var ] || mkdir -m 755 var
mkdir -p -m 700 var/tokens

for name in ALERTMANAGER_TOKEN ONCALL_TOKEN; do
  eval "[ -z \"\${$name+set}\" ]" || continue
  file=var/tokens/$name
  [ -s "$file" ] || (umask 077 && node -p 'crypto.randomBytes(24).toString("hex")' >"$file")
  export "$name=$(cat "$file")"
  echo "$name is not set: using the random one in $file" >&2
done

if [ -z "${YT3_DATABASE_URL+set}" ]; then
  export YT3_DATABASE_URL=postgres://paramedic@127.0.0.1:5432/youtility3
  echo "YT3_DATABASE_URL is not set: assuming $YT3_DATABASE_URL for the target youtility3" >&2
fi

exec node dist/cli.js serve --config examples/paramedic.yaml
