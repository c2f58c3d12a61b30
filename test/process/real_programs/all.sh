#!/bin/bash
# Runs every real program on a directory. Usage: all.sh DIR [--second DIR2]
# Exit code 1 if one failed; skipped ones are fine.
here=$(dirname "$(readlink -f "$0")")
failed=0
for script in archive git sqlite rsync fio build; do
  echo "== $script"
  extra=()
  [ "$script" = build ] && extra=(--quick)
  python3 "$here/$script.py" "$@" "${extra[@]}"
  status=$?
  [ $status -eq 0 ] || [ $status -eq 77 ] || failed=1
done
exit $failed
