#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stages of `./dev test`. Sourced by ./dev, whose variables and functions it uses.
#
# A stage leaves its log in build/test-logs/STAGE.log and its results as JUnit files in
# build/test-logs/STAGE/, which scripts/count_tests.py adds up.

kStages=(purity unit asan tsan fuzz oracle lab scenario interop)
kLogs="$kRoot/build/test-logs"
# Seconds for each fuzz target in the test run.
kFuzzSeconds=${CYGNET_FUZZ_SECONDS:-4}

kStageTitles=(
  [0]="purity: who may touch clocks, sockets and entropy; sizes; links"
  [1]="unit: unit, vector, exchange and simulator tests, release build"
  [2]="asan: the same under AddressSanitizer and UBSan (clang-19)"
  [3]="tsan: what has threads, under ThreadSanitizer"
  [4]="fuzz: every parser, ${kFuzzSeconds} s each (clang-19, libFuzzer)"
  [5]="oracle: scapy and tshark as witnesses"
  [6]="lab: the lab itself"
  [7]="scenario: whole systems in network namespaces"
  [8]="interop: strongSwan, and the Linux kernel's ESP in User-Mode Linux"
)

stage_title() {
  local i
  for i in "${!kStages[@]}"; do
    [ "${kStages[$i]}" = "$1" ] && echo "${kStageTitles[$i]}"
  done
}

# Test programs of a build directory, one path a line.
test_programs() {
  find "$1/bin" -maxdepth 1 -type f -executable \
    \( -name 'unit_*' -o -name 'vectors*' -o -name 'exchange*' -o -name 'sim_test*' -o -name 'sim_mutant_*' -o -name 'regress_*' \) |
    sort
}

# run_gtests DIR STAGE FILTER: all programs, as many at once as there are cores.
run_gtests() {
  local dir=$1 stage=$2 filter=${3:-*} programs
  mapfile -t programs < <(test_programs "$dir")
  [ "${#programs[@]}" -gt 0 ] || { echo "no test programs in $dir/bin"; return 1; }
  export kLogs stage filter
  printf '%s\n' "${programs[@]}" | xargs -P "$kJobs" -I{} bash -c '
    name=$(basename "{}")
    out="$kLogs/$stage/$name"
    started=$SECONDS
    case $name in
    regress_* | sim_mutant_*) # not GoogleTest: one result for the program
      timeout 600 "{}" >"$out.log" 2>&1
      status=$?
      [ $status -ne 0 ] || echo "<testsuites tests=\"1\" failures=\"0\"/>" >"$out.xml"
      ;;
    *)
      timeout 600 "{}" --gtest_brief=1 --gtest_filter="$filter" \
        --gtest_output="xml:$out.xml" >"$out.log" 2>&1
      status=$?
      ;;
    esac
    if [ $status -ne 0 ]; then
      echo "FAILED $name (exit $status): rerun with  {}"
      tail -60 "$out.log"
      # A crash leaves no result file; count it all the same.
      [ -s "$out.xml" ] || printf "%s" "<testsuites tests=\"1\" failures=\"1\"/>" >"$out.xml"
      exit 1
    fi
    echo "ok $name ($((SECONDS - started)) s)"'
}

# Pytest exits with 5 when a filter leaves no test: that is a failure here. Bash has background jobs ignore Ctrl-C; the
# tests clean up when it comes.
run_pytest() {
  local stage=$1 filter=${2:-}
  shift 2
  local args=(-p no:cacheprovider -q -ra --tb=short "--junitxml=$kLogs/$stage/pytest.xml")
  [ -z "$filter" ] || args+=(-k "$filter")
  CYGNET_BIN="$kRoot/$kBuild/bin" CYGNET_LOGS="$kLogs/$stage" PYTHONPATH="$kRoot/tests" \
    env --default-signal=INT "$kPython" -m pytest "${args[@]}" "$@"
}

ensure_release() {
  build_release
}

stage_purity() {
  scripts/check_purity.sh "$kLogs/purity/purity.xml"
}

stage_unit() {
  ensure_release && run_gtests "$kBuild" unit "${1:-*}"
}

stage_asan() {
  configure_instrumented && ninja -C build-fuzz -j "$kJobs" tests fuzz &&
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
      UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
      CYGNET_SIM_SEEDS="${CYGNET_SIM_SEEDS:-500}" run_gtests build-fuzz asan "${1:-*}"
}

stage_tsan() {
  configure build-tsan -DCYGNET_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug &&
    ninja -C build-tsan -j "$kJobs" tests_tsan &&
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 run_gtests build-tsan tsan "${1:-*}"
}

# run_fuzz_target NAME SECONDS [OPTION...]: corpus in the repository is read, new finds go elsewhere.
run_fuzz_target() {
  local name=$1 seconds=$2 seeds="tests/fuzz/corpus/${1#fuzz_}" found="build-fuzz/corpus/$1"
  mkdir -p "$found" build-fuzz/crashes
  local corpora=("$found")
  [ -d "$seeds" ] && corpora+=("$seeds")
  "build-fuzz/bin/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=0 -verbosity=0 -artifact_prefix="build-fuzz/crashes/$name-" "${@:3}" "${corpora[@]}"
}

# A fixed seed: the test run says the same of the same sources; new ground is for `./dev fuzz TARGET SECONDS`.
stage_fuzz() {
  build_fuzz || return 1
  local program name status=0 count=0 failed=0
  for program in build-fuzz/bin/fuzz_*${1:-}*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    count=$((count + 1))
    if run_fuzz_target "$name" "$kFuzzSeconds" -seed=1 >"$kLogs/fuzz/$name.log" 2>&1; then
      echo "ok $name"
    else
      failed=$((failed + 1))
      status=1
      echo "FAILED $name: rerun with  ./dev fuzz $name"
      tail -40 "$kLogs/fuzz/$name.log"
    fi
  done
  [ "$count" -gt 0 ] || { echo "no fuzz targets"; return 1; }
  echo "<testsuites tests=\"$count\" failures=\"$failed\"/>" >"$kLogs/fuzz/fuzz.xml"
  return "$status"
}

stage_oracle() {
  local scapy
  scapy=$(scripts/fetch_scapy.sh) || return 1
  ensure_release && CYGNET_SCAPY="$scapy" run_pytest oracle "${1:-}" tests/oracle
}

stage_lab() { run_pytest lab "${1:-}" tests/lab; }

# side_by_side STAGE HALF FILTER HALF FILTER PATH...: most of it is waiting for peers, guests and timers, so two halves of
# the same go at once.
side_by_side() {
  local stage=$1 one=$2 of_one=$3 two=$4 of_two=$5 other status=0
  mkdir -p "$kLogs/$stage/$one" "$kLogs/$stage/$two"
  run_pytest "$stage/$two" "$of_two" "${@:6}" >"$kLogs/$stage/$two.log" 2>&1 &
  other=$!
  run_pytest "$stage/$one" "$of_one" "${@:6}" || status=1
  wait "$other" || status=1
  cat "$kLogs/$stage/$two.log"
  return "$status"
}

# What takes long by the clock, and the rest.
stage_scenario() {
  ensure_release || return 1
  [ -z "${1:-}" ] || { run_pytest scenario "$1" tests/scenario; return; }
  local slow="test_holds or test_names or test_backup or test_reauth or test_fails or test_roaming or test_liveness or test_nat"
  side_by_side scenario slow "$slow" others "not ($slow)" tests/scenario
}

# About the kernel's or our engine with another program at it, and the rest, with what takes longest of these.
stage_interop() {
  ensure_release || return 1
  [ -z "${1:-}" ] || { run_pytest interop "$1" tests/interop; return; }
  local engines="(kernel or engine) and not iptfs and not kernel_compression"
  side_by_side interop engines "$engines" peers "not ($engines)" tests/interop
}

# run_stage NAME [FILTER]: announces, runs, keeps the log, shows what failed.
run_stage() {
  local name=$1 started=$SECONDS
  mkdir -p "$kLogs"
  rm -rf "${kLogs:?}/$name"
  mkdir -p "$kLogs/$name"
  echo "== $(date +%H:%M:%S) $(stage_title "$name")"
  if "stage_$@" >"$kLogs/$name.log" 2>&1; then
    echo "   $name ok, $((SECONDS - started)) s: $("$kPython" scripts/count_tests.py --plain "$kLogs/$name")"
    return 0
  fi
  # A stage that broke before any test ran still counts as one failure.
  "$kPython" scripts/count_tests.py --any-failure "$kLogs/$name" ||
    echo '<testsuites tests="1" failures="1"/>' >"$kLogs/$name/stage.xml"
  echo "   $name FAILED after $((SECONDS - started)) s: $("$kPython" scripts/count_tests.py --plain "$kLogs/$name")"
  # First what failed, by name: whoever reads this may have nothing else.
  "$kPython" scripts/count_tests.py --failures "$kLogs/$name" | head -100 | sed 's/^/   /'
  grep -nE 'FAILED|error:|ERROR: |runtime error' "$kLogs/$name.log" | head -20 | sed 's/^/   /'
  tail -12 "$kLogs/$name.log" | sed 's/^/   | /'
  echo "   whole log: build/test-logs/$name.log; rerun only this stage: ./dev test $name"
  return 1
}

prepare_tests() {
  local wanted=("${kPackagesBuild[@]}")
  case $1 in
  unit | tsan | purity) ;;
  asan | fuzz) wanted+=("${kPackagesClang[@]}") ;;
  oracle) wanted+=("${kPackagesLab[@]}") ;;
  lab | scenario | interop) wanted+=("${kPackagesLab[@]}") ;;
  *) wanted+=("${kPackagesClang[@]}" "${kPackagesLab[@]}") ;;
  esac
  install_packages "${wanted[@]}"
}

test_one() {
  local name=$1
  [ -n "$(stage_title "$name")" ] || die "no test stage '$name'; there are: ${kStages[*]}"
  case $name in lab | scenario | interop) need_root "test $name" ;; esac
  prepare_tests "$name" || exit 1
  local status=0
  run_stage "$@" || status=1
  "$kPython" scripts/count_tests.py "$kLogs/$name"
  exit "$status"
}

# run_lane NAME...: stages one after the other; the names of those that failed, a line each, in $kLogs/failed.
run_lane() {
  local name
  for name in "$@"; do
    run_stage "$name" || echo "$name" >>"$kLogs/failed"
  done
}

# Two lanes share the cores once the release build is there: the laboratory's stages mostly wait for peers and timers,
# the instrumented ones compile. These are the nicer ones, so that a test's clock does not starve.
test_all() {
  need_root test
  local started=$SECONDS status=0 first compiling
  rm -rf "$kLogs"
  mkdir -p "$kLogs"
  echo "== $(date +%H:%M:%S) set-up"
  prepare_tests all || die "set-up failed"
  run_lane purity unit
  set -m # a process group of its own, to be ended as one
  (renice -n 10 -p "$BASHPID" >/dev/null && run_lane asan tsan fuzz) &
  compiling=$!
  set +m
  trap 'kill -TERM -- "-$compiling" 2>/dev/null; exit 130' INT TERM
  run_lane oracle lab scenario interop
  wait "$compiling" || status=1
  trap - INT TERM
  first=$(head -1 "$kLogs/failed" 2>/dev/null)
  [ -z "$first" ] || {
    status=1
    echo "first failure: ./dev test $first   (log: build/test-logs/$first.log)"
  }
  echo "== $(date +%H:%M:%S) done in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
  "$kPython" scripts/count_tests.py "$kLogs" || status=1
  exit "$status"
}
