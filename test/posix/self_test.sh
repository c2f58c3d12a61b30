#!/bin/bash
# Tests the testers on a native directory, where they must be content, and with planted faults,
# which the random tester must find. Usage: self_test.sh BINARY_DIR
set -u
bin=$1
work=$(mktemp -d "$bin/self-test-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -m 755 "$work/target" "$work/oracle"
failures=0

expect() {  # expect STATUS NAME COMMAND...
  local wanted=$1 name=$2 status=0
  shift 2
  "$@" >"$work/output" 2>&1 || status=$?
  if [ "$status" -eq "$wanted" ]; then
    echo "ok    $name"
  else
    echo "FAIL  $name: exit code $status, expected $wanted"
    tail -n 20 "$work/output"
    failures=$((failures + 1))
  fi
}

expect 0 "the POSIX suite passes on a native directory that is its own second mount" \
  "$bin/pairfs-posix-suite" "$work/target" --second "$work/target"
expect 2 "the POSIX suite refuses a directory that is not there" \
  "$bin/pairfs-posix-suite" "$work/none"
expect 0 "random operations agree on two native directories" \
  "$bin/pairfs-fsx" --dir "$work/target" --oracle "$work/oracle" --ops 5000 --seed 1
expect 0 "random operations agree through two paths of one directory" \
  "$bin/pairfs-fsx" --dir "$work/target" --second-dir "$work/target" \
  --oracle "$work/oracle" --ops 5000 --seed 2
for plant in flip_byte lose_mode_bit forget_unlink wrong_errno keep_mtime stale_hole; do
  expect 1 "random operations find the planted fault $plant" \
    "$bin/pairfs-fsx" --dir "$work/target" --oracle "$work/oracle" \
    --ops 5000 --seed 3 --shrink 2 --plant $plant
done
exit $((failures > 0))
