# Runs one server for as long as its standard input is open, whatever becomes of the other end: no
# server and no folder outlives its test. Then answers orders, one a line.
#
# Arguments: what readies the folder, what starts the server, what tells that it answers; each a
# line of shell that may use $dir.
dir=$(mktemp -d "${TMPDIR:-/tmp}/buttress-test-XXXXXX") || exit 1
cd "$dir" || exit 1
pid=

everyone() {
    [ -n "$pid" ] && kill "-$1" $pid $(cat /proc/$pid/task/*/children 2>/dev/null) 2>/dev/null
}
start() {
    eval "$START" >>"$dir/log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 600); do
        eval "$READY" >/dev/null 2>&1 </dev/null && return 0
        kill -0 $pid 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}
give_up() {
    echo "the server did not start:" >&2
    tail -n 20 "$dir/log" >&2
    everyone KILL
    rm -rf "$dir"
    exit 1
}

eval "$PREPARE" >>"$dir/log" 2>&1 </dev/null || give_up
start || give_up
echo ready
while read -r order; do
    case $order in
        start) start || give_up ;;
        kill) everyone KILL; wait $pid 2>/dev/null; pid= ;;
        stop) everyone STOP ;;
        resume) everyone CONT ;;
    esac
    echo done
done
everyone CONT
everyone KILL
wait $pid 2>/dev/null
rm -rf "$dir"
