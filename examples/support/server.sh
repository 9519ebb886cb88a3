# Runs one server for as long as its standard input is open, whatever becomes of whoever holds the
# other end. Says `ready`, or what is wrong.
#
# Arguments: redis or postgres, and a port. This text is in $SCRIPT.
kind=$1
port=$2
# Signals are for the example. Once that has ended, so does this.
trap '' HUP INT TERM

for bin in /usr/lib/postgresql/*/bin; do
    PATH=$bin:$PATH
done
needs() {
    for program; do
        command -v "$program" >/dev/null && continue
        echo "$program is not installed: apt-get install redis-server postgresql"
        exit 1
    done
}
give_up() {
    echo "$kind did not start: $(tail -n 5 log | tr '\n' ' ')"
    cd /
    rm -rf "$folder"
    exit 1
}

case $kind in
    redis) needs redis-server redis-cli ;;
    postgres)
        needs initdb postgres pg_isready
        # It refuses to run as root.
        if [ "$(id -u)" = 0 ]; then
            exec runuser -u postgres -- sh -c "$SCRIPT" server "$kind" "$port"
        fi
        ;;
esac

folder=$(mktemp -d "${TMPDIR:-/tmp}/buttress-example-XXXXXX") || exit 1
cd "$folder" || exit 1
case $kind in
    redis)
        redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$folder" \
            >log 2>&1 </dev/null &
        signal=TERM
        is_ready() { redis-cli -p "$port" ping; }
        ;;
    postgres)
        initdb -D data -U postgres -A trust -E UTF8 --no-sync >log 2>&1 </dev/null || give_up
        postgres -D data -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
            -c fsync=off >log 2>&1 </dev/null &
        # At once: nobody needs what it has.
        signal=QUIT
        is_ready() { pg_isready -h 127.0.0.1 -p "$port"; }
        ;;
esac
server=$!

tries=0
until is_ready >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kill -0 $server 2>/dev/null; then
        kill -s $signal $server 2>/dev/null
        give_up
    fi
    sleep 0.05
done
echo ready
cat >/dev/null

kill -s $signal $server
wait $server 2>/dev/null
cd /
rm -rf "$folder"
