#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/tidy.sh [--all] [--fix]: clang-format over src and tests, clang-tidy over src.
# Without --all clang-tidy reads only what differs from the main branch's last commit.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
all=0 fix=0
for word in "$@"; do
  case $word in
  --all) all=1 ;;
  --fix) fix=1 ;;
  *)
    echo "usage: ./dev tidy [--all] [--fix]" >&2
    exit 2
    ;;
  esac
done

status=0
mapfile -t sources < <(git ls-files --cached --others --exclude-standard -- 'src/*.h' 'src/*.cc' 'tests/*.h' 'tests/*.cc')
if [ "$fix" -eq 1 ]; then
  clang-format-19 -i "${sources[@]}"
else
  clang-format-19 --dry-run -Werror "${sources[@]}" || status=1
fi

# clang's own compile commands: GCC's flags are not all known to clang-tidy.
CC=clang-19 CXX=clang++-19 cmake -S . -B build-tidy -G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null || exit 1
if [ "$all" -eq 1 ]; then
  mapfile -t units < <(git ls-files --cached --others --exclude-standard -- 'src/*.cc')
else
  mapfile -t units < <({
    git diff --name-only HEAD -- 'src/*.cc'
    git ls-files --others --exclude-standard -- 'src/*.cc'
  } | sort -u)
fi
if [ "${#units[@]}" -gt 0 ]; then
  options=()
  [ "$fix" -eq 0 ] || options+=(--fix)
  python3 scripts/tidy_units.py build-tidy "${options[@]}" "${units[@]}" || status=1
fi
scripts/check_purity.sh || status=1
exit "$status"
