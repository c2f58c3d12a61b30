#!/bin/bash
# Writes one small file in each of some directories again and again, all directories at once, and keeps the
# longest time that one write took, in ms, and how many failed: probe.sh RESULT DIRECTORY...
# Ends when RESULT.stop exists; RESULT is there then.
result=$1
shift
now() { echo "${EPOCHREALTIME/[.,]/}"; }
write_in() { # DIRECTORY: "LONGEST FAILED" on stdout
  local longest=0 failed=0 begin took
  while [ ! -e "$result.stop" ]; do
    begin=$(now)
    echo "$begin" > "$1/probe" || failed=$((failed + 1))
    took=$((($(now) - begin) / 1000))
    if [ "$took" -gt "$longest" ]; then longest=$took; fi
    sleep 0.01
  done
  echo "$longest $failed"
}
for directory; do write_in "$directory" & done > "$result.each"
wait
sort -n "$result.each" | awk '{ failed += $2 } END { print $1, failed + 0 }' > "$result"
rm -f "$result.stop"
