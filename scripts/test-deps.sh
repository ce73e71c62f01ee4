#!/bin/sh
# Installs what the tests need: the npm packages and, where it may, Debian's packages of the real services. Says what is
# missing where it may not; the tests that need it are then skipped, or fail where CI=true.
set -eu
cd "$(dirname "$0")/.."
./scripts/npm-deps.sh

missing=
need() { # command or file, Debian package
  command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || ls $1 >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
need prometheus prometheus
need prometheus-alertmanager prometheus-alertmanager
need psql postgresql-client
need systemctl systemd
need dbus-daemon dbus
need pkaction polkitd
need '/usr/lib/*/faketime/libfaketime.so.1' libfaketime
need /usr/lib/python3/dist-packages/django python3-django
need /usr/lib/python3/dist-packages/django_redis python3-django-redis
need /usr/lib/python3/dist-packages/psycopg2 python3-psycopg2
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Missing for some tests:$missing" >&2
  echo "On Debian, root installs them with: apt-get install$missing" >&2
  exit 0
fi

# Debian starts a daemon when it installs one; the tests start their own. invoke-rc.d obeys this file.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >&2; then
  echo "Could not install:$missing. The tests that need them are skipped, or fail where CI=true." >&2
fi
