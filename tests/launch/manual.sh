#!/usr/bin/env bash
# Every command has a manual page with synopsis, options, examples and exit codes.
#   manual.sh TRIREME
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pages=$(mktemp -d)
trap 'rm -r "$pages"' EXIT
"$here/../../launch/manual" "$1" "$pages"
commands=$("$1" --help | sed -nE '/^Options:/q; s/^  ([a-z][a-z-]*) .*/\1/p')
bad=0
for page in trireme $(sed '/^help$/d; s/^/trireme-/' <<< "$commands"); do
  for heading in NAME SYNOPSIS OPTIONS EXAMPLES 'EXIT STATUS'; do
    grep -Eq "^\.S[HS] \"?$heading:?\"?$" "$pages/$page.1" || { echo "$page.1: no heading $heading"; bad=1; }
  done
done
[ "$(ls "$pages" | wc -l)" -ge 10 ] || { echo "too few pages: $(ls "$pages")"; bad=1; }
exit $bad
