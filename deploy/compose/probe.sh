#!/bin/bash
# Writes one small file again and again, and keeps the longest time that one write took, in ms, and
# whether any failed: probe.sh FILE RESULT. Ends when FILE.stop exists.
file=$1 result=$2
longest=0 failed=0
now() { echo "${EPOCHREALTIME/[.,]/}"; }
while [ ! -e "$result.stop" ]; do
  begin=$(now)
  echo "$begin" > "$file" || failed=$((failed + 1))
  took=$((($(now) - begin) / 1000))
  if [ "$took" -gt "$longest" ]; then longest=$took; fi
  echo "$longest $failed" > "$result"
done
rm -f "$result.stop"
