#!/usr/bin/env bash
# Checks the container recipe without building it: the shell of its sections, that the files which it copies are there, and that the
# manifest which it writes is the one that `doctor` suggests.
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=examples/apptainer.def

sections="$(mktemp -d)"
trap 'rm -rf "$sections"' EXIT
# Each section goes into a file of its own, numbered as %post is there twice. Apptainer ends %post at the first command that fails.
awk -v folder="$sections" '
  /^%/ { count++; name = substr($1, 2); file = folder "/" count "-" name; print "#!/bin/sh -e" > file; next }
  /^(Bootstrap|From|Stage):/ { file = "" }
  file != "" { print > file }
' "$recipe"

shellcheck "$sections"/*-post "$sections"/*-environment "$sections"/*-runscript "$sections"/*-test

copied=0
for list in "$sections"/*-files; do
  # What comes from another stage is not here yet.
  while read -r path _; do
    case "$path" in '' | '#'* | /*) continue ;; esac
    [ -e "$path" ] || { echo "$recipe copies $path, which is not there"; exit 1; }
    copied=$((copied + 1))
  done <"$list"
done
[ "$copied" -gt 0 ] || { echo "no files were found that $recipe copies"; exit 1; }

manifest="$(sed -n "s/^ *echo '\({.*}\)'.*/\1/p" "$recipe")"
[ -n "$manifest" ] || { echo "$recipe writes no manifest of NVIDIA's driver"; exit 1; }
grep --quiet --fixed-strings "$manifest" src/doctor/findings.rs ||
  { echo "$recipe writes another manifest than doctor suggests: $manifest"; exit 1; }
