#!/usr/bin/env bash
# CPython 3.14 and 3.15 (headers, shared library, venv, the tests of the standard library) with a current g++, on a Debian that is too old to have them.
#
# They live in a Debian tree of their own, entered with chroot; the machine's own packages and apt sources stay as they
# are (debootstrap is the one package installed on it). Needs root, 1.2 GB, and about a minute and a half the first time.
#
#   tools/pythons.sh make              make or complete the tree
#   tools/pythons.sh run COMMAND...    run a command in it, in the current directory
#
# environment:
#   SMARM_PYTHONS_TREE   where the tree is (default: /var/tmp/smarm-pythons)
#   SUITE                the Debian release in it (default: forky)
#   MIRROR               the Debian mirror (default: the one of this machine's apt sources)
#   BIND                 more directories to show inside, separated by spaces
set -euo pipefail

tree=$(realpath -m "${SMARM_PYTHONS_TREE:-/var/tmp/smarm-pythons}")
suite=${SUITE:-forky}
ready=$tree/.smarm-ready

packages="ca-certificates g++ git doctest-dev python3.14-dev python3.14-venv python3.15-dev python3.15-venv libpython3.14-testsuite libpython3.15-testsuite"

die() { printf 'pythons.sh: %s\n' "$*" >&2; exit 1; }

# Runs "$@" in the tree. The mounts belong to a namespace of their own: nothing stays mounted afterwards, two runs do not
# meet, and removing the tree is safe. The environment is not passed on, but for what is named
# here.
run() {
  local name
  local variables=(
    HOME=/root PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin LANG=C.UTF-8
    "TERM=${TERM:-dumb}" "CI=${CI:-}" DEBIAN_FRONTEND=noninteractive
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
  )
  for name in $(compgen -e | grep -iE '_proxy$|^PIP_INDEX_URL$'); do variables+=("$name=${!name}"); done
  tree=$tree here=$PWD unshare --mount --propagation private bash -euc '
    mount -t proc proc "$tree/proc"
    mount --rbind /dev "$tree/dev"
    mount --rbind /sys "$tree/sys"
    mount --bind /tmp "$tree/tmp"
    for directory in "$here" ${BIND:-}; do
      case $directory in
        / | /tmp | /tmp/* | "$tree" | "$tree"/*) ;;   # visible inside already, or never to be shown
        *) mkdir -p "$tree$directory" && mount --rbind "$directory" "$tree$directory" ;;
      esac
    done
    exec chroot "$tree" env -i "$@"
  ' bash "${variables[@]}" sh -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
}

mirror() {
  apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Identifier: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }'
}

# Runs a command with its output in a log, of which the end is shown if it fails.
quietly() { "$@" >"$tree.log" 2>&1 || { tail "$tree.log" >&2; exit 1; }; }

bootstrap() {
  local from=${MIRROR:-}
  if ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
  fi
  if [[ -z $from ]]; then from=$(mirror); fi
  if [[ -z $from ]]; then apt-get update -qq && from=$(mirror); fi
  [[ -n $from ]] || die "this machine's apt sources name no Debian mirror: set MIRROR."
  if [[ -n $(ls -A "$tree") && ! -d $tree/debootstrap ]]; then die "$tree is not empty: set SMARM_PYTHONS_TREE to another place."; fi
  # An older debootstrap has no script for a newer release; the one for sid serves all.
  quietly debootstrap --variant=minbase --include=ca-certificates "$suite" "$tree" "$from" sid
  touch "$tree/.bootstrapped"
}

# A mirror's copy of a testing release may be older than its Valid-Until; documentation is left out.
configure_apt() {
  cat >"$tree/etc/apt/apt.conf.d/99smarm" <<'CONF'
Acquire::Check-Valid-Until "false";
Acquire::Check-Date "false";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Install-Recommends "false";
CONF
  cat >"$tree/etc/dpkg/dpkg.cfg.d/99smarm" <<'CONF'
path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
CONF
  printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"   # no package starts a service
  chmod +x "$tree/usr/sbin/policy-rc.d"
  cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
}

# pip inside trusts whom this machine trusts.
copy_certificates() {
  mkdir -p "$tree/usr/local/share/ca-certificates"
  if [[ -d /usr/local/share/ca-certificates ]]; then
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp -L {} "$tree/usr/local/share/ca-certificates/" \;
  fi
  quietly run update-ca-certificates
}

make_tree() {
  [[ $(id -u) == 0 ]] || die "making the tree needs root (chroot and mount)."
  mkdir -p "$tree"
  if [[ $(cat "$ready" 2>/dev/null) != "$suite $packages" ]]; then
    echo "==> making $tree with Debian $suite (a minute and a half)" >&2
    if [[ ! -e $tree/.bootstrapped ]]; then bootstrap; fi
    configure_apt
    copy_certificates
    echo "==> installing compiler and Pythons into it" >&2
    quietly run apt-get update
    # shellcheck disable=SC2086
    quietly run apt-get install -y $packages
    run apt-get clean
    echo "$suite $packages" >"$ready"
  fi
  echo "$tree: $(run python3.14 --version), $(run python3.15 --version), g++ $(run g++ -dumpfullversion)"
}

case ${1:-} in
  make) make_tree ;;
  run)
    shift
    [[ -e $ready ]] || die "there is no tree in $tree: run 'tools/pythons.sh make' first."
    run "$@"
    ;;
  *) sed -n '/^#!/d; /^#/!q; s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
