#!/usr/bin/env bash
# Every night: label what is new, say what differs from the last good run, and keep the new one if it passes the gate.
#
#   30 2 * * *  CONFIG=florence2_sam2 SOURCE=/srv/photos ONTOLOGY='dog, cat' RUNS=/srv/runs /srv/refresh.sh
#
# RUNS/new is the run at work, RUNS/good leads to the last one that passed. A night that was killed goes on where it
# stopped; one that fails the gate stays in RUNS/new with its report, and RUNS/good is as it was. Exit codes are those of
# masklet: 5 is the gate, 10 a night that is still at work. docs/ci.md has the rules.
set -euo pipefail

: "${CONFIG:?a file, or a name that masklet ls shows}"
: "${SOURCE:?the folder of pictures and films}"
: "${RUNS:?where runs are kept}"
ONTOLOGY=${ONTOLOGY:-}                  # words, a file or a name; nothing is the config's own
RULES=${RULES:-}                        # a file of rules, or KEY=VALUE; nothing is the rules of every night
NAME=${NAME:-$(date -u +%Y-%m-%dT%H%M%S)} # what the run is called once it has passed
KEEP=${KEEP:-7}                         # runs that are kept, 1 or more

new=$RUNS/new
mkdir -p "$RUNS"
good=$(readlink -f "$RUNS/good" || true)

words=("$CONFIG" "$SOURCE" --out "$new")
if [ -n "$ONTOLOGY" ]; then words+=(--ontology "$ONTOLOGY"); fi
if [ -f "$good/run.db" ]; then words+=(--reuse "$good"); fi
masklet run "${words[@]}"

if [ -f "$good/run.db" ]; then
    masklet diff "$good" "$new" --markdown >"$new/diff.md"
    # shellcheck disable=SC2086  # several rules are several words
    masklet gate "$new" --baseline "$good" $RULES --junit "$new/gate.xml" --markdown "$new/gate.md"
fi

mv -T "$new" "$RUNS/$NAME"
ln -sfnT "$NAME" "$RUNS/good"
find "$RUNS" -mindepth 2 -maxdepth 2 -name run.db ! -path "$new/*" | sort | head -n -"$KEEP" | while read -r db; do
    rm -r "${db%/run.db}"
done
