# What the scripts share. Sourced, with `set -e` in force.

CURRENT=""
SINCE=$SECONDS
trap '[ -z "$CURRENT" ] || printf "\n== FAILED after %d s: %s\n" $((SECONDS - SINCE)) "$CURRENT"' EXIT

# Runs a step under a heading, and says how long it took:
#     step HEADING COMMAND [ARGUMENT..]
step() {
    CURRENT=$1
    SINCE=$SECONDS
    shift
    printf '\n== %s\n' "$CURRENT"
    "$@"
    printf '== %s: %d s\n' "$CURRENT" $((SECONDS - SINCE))
    CURRENT=""
}
