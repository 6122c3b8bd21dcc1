#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run-corpus.sh - every fuzz target over its corpus; says so in TAP
#
# FUZZ_TARGETS: the programs, relative to here; FUZZ_CORPUS: the folder of corpora.

set -u

# Files by name: given a directory, libFuzzer would begin to search.
run() {
	# shellcheck disable=SC2086 # TEST_WRAPPER is a command with arguments
	find "$2" -type f -print0 | xargs -0 ${TEST_WRAPPER:-} "./$1"
}

n=0
for target in $FUZZ_TARGETS; do
	n=$((n + 1))
	corpus=$FUZZ_CORPUS/${target##*/fuzz-}
	inputs=$(find "$corpus" -type f 2>/dev/null | wc -l)
	out=$(mktemp)

	if [ "$inputs" -eq 0 ]; then
		echo "not ok $n - ${target##*/} has a corpus"
	elif run "$target" "$corpus" >"$out" 2>&1; then
		echo "ok $n - ${target##*/} over $inputs inputs"
	else
		tail -n 40 "$out" | sed 's/^/# /'
		echo "not ok $n - ${target##*/} over its corpus"
	fi
	rm -f "$out"
done
echo "1..$n"
