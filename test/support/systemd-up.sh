#!/bin/bash
# A real systemd for tests: PID 1 of its own mount, pid, cgroup, ipc and uts namespaces, with D-Bus, journald and polkit.
#
#   systemd-up.sh FOLDER     FOLDER must exist, be empty and be used by nobody else
#
# Stays in the foreground, prints "ready PID" when the bus answers, and takes everything down again when its standard
# input ends or it gets SIGTERM. Inside, FOLDER/units is /etc/systemd/system, FOLDER/run is /run and FOLDER/rules is
# /etc/polkit-1/rules.d; /tmp is shared, the rest of the machine can only be read. The bus, seen from outside:
# unix:path=FOLDER/run/dbus/system_bus_socket
#
# DANGER: a manager that root starts in the root cgroup moves every process of the machine into a cgroup of its own.
# This script therefore makes a cgroup first, goes into it, sees it as its root, and refuses to go on otherwise.
set -euo pipefail

fail() {
  echo "systemd-up: $*" >&2
  exit 1
}

# ---- Stage 1, on the machine: the cgroup, the child in new namespaces, and the end of both. ----

stage_machine() {
  folder=$1
  [ "$(id -u)" = 0 ] || fail "this needs root"
  [ -d "$folder" ] && [ -z "$(ls -A "$folder")" ] || fail "$folder is no empty folder"
  tree=$(findmnt --noheadings --types cgroup2 --output TARGET | head -n 1)
  [ -n "$tree" ] || fail "no cgroup2 file system is mounted"
  remove_orphans
  group=$tree/paramedic-systemd-$$
  trap take_down EXIT
  trap 'exit 0' TERM INT HUP
  mkdir "$group"
  mkdir -p "$folder"/{units,rules,root,none,var-upper,var-work,run/log/journal}
  chmod 755 "$folder"/run "$folder"/units "$folder"/rules
  if getent group systemd-journal >/dev/null; then
    chgrp -R systemd-journal "$folder/run/log/journal"
    chmod 2755 "$folder/run/log/journal"
  fi
  write_default_target

  # A session of its own: an interrupt at the terminal must not reach systemd, which would take it for Ctrl-Alt-Del.
  setsid unshare --mount --pid --fork --kill-child --propagation private \
    "$BASH" "$0" --namespaces "$folder" "$group" </dev/null >"$folder/console" 2>&1 &
  outer=$!
  wait_until_ready
  echo "ready $inner"
  while read -r _; do :; done
}

write_default_target() {
  cat >"$folder/units/default.target" <<'UNIT'
[Unit]
Description=What tests need: the bus and the journal
Requires=basic.target dbus.socket dbus.service systemd-journald.service
After=basic.target dbus.service systemd-journald.service
UNIT
}

wait_until_ready() {
  local tries state
  inner=
  for ((tries = 0; tries < 1000; tries++)); do
    [ -d "/proc/$outer" ] || fail "systemd has ended: $(tail -n 20 "$folder/console")"
    inner=$(tr -d ' ' <"/proc/$outer/task/$outer/children" 2>/dev/null || true)
    if [ -n "$inner" ] && [ -S "$folder/run/dbus/system_bus_socket" ]; then
      state=$(busctl --address="unix:path=$folder/run/dbus/system_bus_socket" --timeout=2 get-property \
        org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager SystemState 2>/dev/null || true)
      case $state in *running* | *degraded*) return ;; esac
    fi
    sleep 0.02
  done
  fail "systemd was not ready in time: $(tail -n 20 "$folder/console")"
}

take_down() {
  trap - EXIT
  # Told twice to end, it would leave its cgroup.
  trap '' TERM INT HUP
  set +e
  # Only this cgroup and what is below it. The end of its first process ends the whole pid namespace.
  [ ! -e "$group/cgroup.kill" ] || echo 1 >"$group/cgroup.kill"
  [ -z "${outer:-}" ] || { kill -KILL "$outer" 2>/dev/null; wait "$outer" 2>/dev/null; }
  remove_group "$group" || echo "systemd-up: $group could not be removed" >&2
}

remove_group() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$1" ] || return 0
    sleep 0.02
  done
  return 1
}

# The cgroup of a run that was killed hard is empty but still there: its name says whose it was.
remove_orphans() {
  local orphan
  for orphan in "$tree"/paramedic-systemd-*; do
    [ -d "$orphan" ] || continue
    [ ! -d "/proc/${orphan##*-}" ] || continue
    echo 1 >"$orphan/cgroup.kill" 2>/dev/null || true
    remove_group "$orphan" || true
  done
}

# ---- Stage 2, first process of a new pid namespace: into the cgroup, alone. ----

stage_namespaces() {
  [ $$ = 1 ] || fail "this is not the first process of its namespace"
  mount -t proc proc /proc
  echo 0 >"$2/cgroup.procs"
  grep -q "^0::.*/${2##*/}$" /proc/self/cgroup || fail "the cgroup could not be entered"
  exec unshare --cgroup --ipc --uts "$BASH" "$0" --root "$1"
}

# ---- Stage 3: a root folder out of the machine's own, then systemd. ----

stage_root() {
  local folder=$1 root=$1/root device wants members

  mount --bind / "$root"
  mount -o remount,bind,ro "$root"
  mount -t proc proc "$root/proc"
  # systemd raises limits of the kernel at its start: those are the machine's.
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  [ ! -e "$root/proc/sysrq-trigger" ] || mount --bind /dev/null "$root/proc/sysrq-trigger"
  mount --bind /sys "$root/sys"
  mount -o remount,bind,ro "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  ln -s /proc/self/fd/0 "$root/dev/stdin"
  ln -s /proc/self/fd/1 "$root/dev/stdout"
  ln -s /proc/self/fd/2 "$root/dev/stderr"

  mount --bind "$folder/run" "$root/run"
  mount --bind /tmp "$root/tmp"
  mount --bind "$folder/units" "$root/etc/systemd/system"
  [ ! -d "$root/etc/polkit-1/rules.d" ] || mount --bind "$folder/rules" "$root/etc/polkit-1/rules.d"
  mount -t overlay -o "lowerdir=/var,upperdir=$folder/var-upper,workdir=$folder/var-work" overlay "$root/var" 2>/dev/null ||
    mount -t tmpfs -o mode=755 tmpfs "$root/var/lib"
  # What the machine would start by itself: consoles, file systems, timers. The tests' own target names what they need.
  for wants in "$root"/usr/lib/systemd/system/*.target.wants "$root/usr/lib/systemd/system-generators"; do
    [ ! -d "$wants" ] || mount --bind "$folder/none" "$wants"
  done

  cd "$root"
  pivot_root . .
  umount --lazy .
  cd /
  [ "$(stat --file-system --format %T /sys/fs/cgroup)" = cgroup2fs ] || fail "cgroups are not as they must be"
  grep -qx '0::/' /proc/self/cgroup || fail "this is not a cgroup of its own"
  mapfile -t members </sys/fs/cgroup/cgroup.procs
  [ "${members[*]}" = 1 ] || fail "there are others in this cgroup"
  exec env -i container=paramedic-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --show-status=0 --log-level=info --log-target=journal-or-kmsg
}

case ${1:-} in
--namespaces) stage_namespaces "$2" "$3" ;;
--root) stage_root "$2" ;;
/*) stage_machine "$1" ;;
*) fail "usage: $0 /FOLDER" ;;
esac
