#!/usr/bin/env bash
# Holds the instructions of a call through each layer, as callgrind counts them, against those of
# benches/instructions.txt. The same on a busy machine as on an idle one.
#
#     benches/instructions.sh            fails where a layer has become dearer
#     benches/instructions.sh --renew    writes the file anew
#
# A layer fails that costs 10 % and 2 instructions more than its line. Runs of one build differ by
# less than 1 in 100; another compiler may lay out the same code otherwise, so with a version
# other than the file's own the margin is 15 %.
set -euo pipefail
cd "$(dirname "$0")/.."

FILE=benches/instructions.txt
MARGIN=10
MARGIN_OF_ANOTHER_COMPILER=15
# A few instructions are a large part of a small count.
SLACK=2

main() {
    local what
    case "${1:-}" in
        "") what=compare ;;
        --renew) what=renew ;;
        *) echo "usage: benches/instructions.sh [--renew]" >&2 && exit 2 ;;
    esac
    command -v valgrind >/dev/null || install_valgrind
    local counts
    counts=$(mktemp)
    # shellcheck disable=SC2064 # the file of now
    trap "rm -f '$counts'" EXIT
    cargo bench --locked --quiet --bench comparison -- --instructions >"$counts"
    "$what" "$counts"
}

install_valgrind() {
    apt-get update -qq && apt-get install -y -qq --no-install-recommends valgrind >/dev/null
}

renew() {
    {
        echo "# Instructions of a call, the bare service's own included: a row of the comparison, a tab,"
        echo "# the count. Renew with: benches/instructions.sh --renew"
        echo "# $(rustc --version)"
        cat "$1"
    } >"$FILE"
    echo "$FILE: $(wc -l <"$1") rows"
}

compare() {
    local margin=$MARGIN
    if ! grep -qxF "# $(rustc --version)" "$FILE"; then
        margin=$MARGIN_OF_ANOTHER_COMPILER
        echo "note: $(rustc --version) is not the compiler of $FILE: a margin of $margin %"
    fi
    awk -F '\t' -v margin="$margin" -v slack="$SLACK" -v file="$FILE" '
        function share(now, then) { return sprintf("%+.0f %%", 100 * (now - then) / then) }
        /^#/ { next }
        FNR == NR { then[$1] = $2; next }
        !($1 in then) {
            print $1 ": not in " file ": benches/instructions.sh --renew"
            failed = 1
            next
        }
        {
            seen[$1] = 1
            rows++
            width = then[$1] * margin / 100 + slack
            told = $1 ": " $2 " instructions, " then[$1] " in " file " (" share($2, then[$1]) ")"
            if ($2 > then[$1] + width) { print told; failed = 1 }
            if ($2 < then[$1] - width) { print told ": cheaper, benches/instructions.sh --renew keeps it so" }
        }
        END {
            for (row in then) if (!(row in seen)) {
                print row ": in " file ", but not measured: benches/instructions.sh --renew"
                failed = 1
            }
            if (!failed) print rows " rows within " margin " % and " slack " instructions of " file
            exit failed
        }
    ' "$FILE" "$1"
}

main "$@"
