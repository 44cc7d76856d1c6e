#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/check_purity.sh [JUNIT-FILE]
# What no compiler checks: protocol code without clock, socket, thread or entropy; files of
# readable size; no machine's paths; links that lead somewhere. One line a finding.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
kJunit=${1:-}
kPure=(src/wire src/engine src/ike src/policy src/model src/crypto)
kMaxLines=600

tracked() { # tracked PATHSPEC...: also what is new, so that a check before the commit helps
  git ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null | sort -u |
    while IFS= read -r file; do [ -f "$file" ] && echo "$file"; done
}

# Code without // comments and string contents, as FILE:LINE:CODE.
code_of() {
  local files=("$@")
  [ "${#files[@]}" -gt 0 ] || return 0
  awk '{ line = $0
         gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
         sub(/\/\/.*/, "", line)
         print FILENAME ":" FNR ":" line }' "${files[@]}"
}

pure_files() {
  local existing=() folder
  for folder in "${kPure[@]}"; do [ -d "$folder" ] && existing+=("$folder"); done
  [ "${#existing[@]}" -eq 0 ] || tracked "${existing[@]}" | grep -E '\.(h|cc)$'
}

check_pure_calls() {
  local files
  mapfile -t files < <(pure_files)
  code_of "${files[@]}" | grep -E \
    '::now\(|\b(clock_gettime|gettimeofday|usleep|nanosleep|sleep|timerfd_create)\(|\b(RAND_bytes|RAND_priv_bytes|getrandom|getentropy|srand)\(|\b(std::time|time)\((NULL|nullptr|0|&)|\b(rand|random)\(\)|std::(random_device|mt19937)|\b(socket|sendto|recvfrom|sendmsg|recvmsg|sendmmsg|recvmmsg|epoll_wait|ioctl)\(|std::(thread|jthread|mutex|async)\b|\bpthread_|#include *<(thread|mutex|chrono_io|sys/socket\.h|random)>'
}

# No exceptions where hostile bytes are handled.
check_no_throw() {
  local files
  mapfile -t files < <(pure_files | grep -E '^src/(wire|engine|ike)/')
  code_of "${files[@]}" | grep -E '\b(throw|catch) *[( a-z]|\btry *\{'
}

check_file_size() {
  local file lines
  tracked 'src/*.h' 'src/*.cc' 'tests/*.cc' 'tests/*.h' 'tests/*.py' | while IFS= read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -le "$kMaxLines" ] || echo "$file: $lines lines (at most $kMaxLines)"
  done
}

check_licence_line() {
  tracked 'src/*.h' 'src/*.cc' 'tests/*.cc' 'tests/*.h' 'tests/*.py' 'scripts/*' 'bench/*.py' 'demo/*.py' |
    grep -E '\.(h|cc|py|sh)$' | while IFS= read -r file; do
    head -2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file: no licence line"
  done
}

check_machine_paths() {
  local files
  mapfile -t files < <(tracked . | grep -vE '^(scripts/check_purity\.sh)$')
  [ "${#files[@]}" -eq 0 ] || grep -nIE '(^|[^A-Za-z0-9_.])/(work/(main|shared)|root/|home/[a-z]+/)|deb\.debian\.org' "${files[@]}"
}

check_leftovers() {
  local files
  mapfile -t files < <(tracked src tests dev scripts bench demo packaging docs '*.md' | grep -vE '^scripts/check_purity\.sh$')
  [ "${#files[@]}" -eq 0 ] || grep -nIE '\b(TODO|FIXME|XXX)\b' "${files[@]}"
}

# Every relative link of every page leads to a file.
check_links() {
  tracked '*.md' | while IFS= read -r page; do
    local folder link
    folder=$(dirname "$page")
    grep -oE '\]\([^)]+\)' "$page" | sed -E 's/^\]\(//; s/\)$//; s/ ".*"$//' | while IFS= read -r link; do
      case $link in http://* | https://* | mailto:* | '#'*) continue ;; esac
      link=${link%%#*}
      [ -e "$folder/$link" ] || echo "$page: link to '$link' leads nowhere"
    done
  done
}

status=0
total=0
cases=""
for check in pure_calls no_throw file_size licence_line machine_paths leftovers links; do
  total=$((total + 1))
  findings=$("check_$check")
  if [ -n "$findings" ]; then
    status=$((status + 1))
    echo "FAILED $check"
    printf '%s\n' "$findings" | head -50 | sed 's/^/  /'
    cases+="<testcase name=\"$check\"><failure/></testcase>"
  else
    echo "ok $check"
    cases+="<testcase name=\"$check\"/>"
  fi
done
[ -z "$kJunit" ] ||
  echo "<testsuite name=\"purity\" tests=\"$total\" failures=\"$status\">$cases</testsuite>" >"$kJunit"
[ "$status" -eq 0 ]
