#!/bin/sh
# Fetches Debian's Alertmanager for the demo into var/demo/ unless there is one. Nothing is installed: the package is
# only unpacked there. Where it cannot be had, the demo says so and sends a notification that was recorded from one.
set -u
cd "$(dirname "$0")/../.."
program=prometheus-alertmanager
folder=var/demo
command -v "$program" >/dev/null 2>&1 && exit 0
[ -x "/usr/bin/$program" ] || [ -x "$folder/usr/bin/$program" ] && exit 0
command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || exit 0

echo "Fetching Debian's $program for the demo into $folder/ (it is not installed)"
quick="-qq -o Acquire::Retries=1 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10"
mkdir -p "$folder" && chmod 755 var "$folder" && cd "$folder" || exit 0
# A fresh machine has no lists of packages yet, and only root may get them.
apt-cache show "$program" >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ] || timeout 120 apt-get update $quick >/dev/null 2>&1
if timeout 120 apt-get download $quick "$program" >/dev/null 2>&1; then
  dpkg-deb -x "$program"_*.deb . || echo "It could not be unpacked"
else
  echo "It could not be fetched"
fi
rm -f "$program"_*.deb
exit 0
