#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where roots and packages of another Debian release come from and are kept.
# Sourced by the fetch_*.sh scripts.

cygnet_cache() {
  echo "${CYGNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cygnet}"
}

# The mirror that this machine's own apt uses, so that a private mirror is honoured.
debian_mirror() {
  local uri
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    grep -E '/debian/?$' | head -n 1)
  if [ -z "$uri" ]; then
    # No index fetched yet: read the sources themselves.
    uri=$(grep -rhoE '(https?|file|mirror\+file):[^ ]*/debian/?( |$)' \
      /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1)
  fi
  uri=${uri%% *}
  [ -n "$uri" ] || { echo "no Debian mirror found in apt's sources" >&2; return 1; }
  echo "${uri%/}"
}

# with_lock NAME COMMAND...: two runs at once must not build the same root.
with_lock() {
  local name=$1
  shift
  mkdir -p "$(cygnet_cache)"
  (
    flock 9
    "$@"
  ) 9>"$(cygnet_cache)/$name.lock"
}
