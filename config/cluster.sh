#!/bin/sh
# Runs the local cluster in the foreground: config/cluster.sh KV_SERVER
#
# Each line of a log begins with its node's name, in colour on a terminal. Ctrl-C stops all nodes and waits for them. A
# node that cannot run takes the others with it; one that is killed does not, for outliving that is what they are for.

set -eu

server=${1:?usage: config/cluster.sh KV_SERVER}
config=$(dirname "$0")
nodes="node1 node2 node3"
unset KV_CONFIG KV_ID KV_LISTEN KV_DATA_DIR KV_JOIN # they would make three nodes of one
run=$(mktemp -d "${TMPDIR:-/tmp}/kv-cluster-XXXXXX")

# Writes a line as the node's, or as the cluster's.
say() {
    if [ -t 1 ]; then
        printf '\033[%sm%-7s |\033[0m %s\n' "$1" "$2" "$3"
    else
        printf '%-7s | %s\n' "$2" "$3"
    fi
}

# Asks all nodes that still run to stop. Asking twice does no harm.
stop() {
    : >"$run/stopping"
    for node in $nodes; do
        if [ -e "$run/$node.pid" ] && [ ! -e "$run/$node.ended" ]; then
            kill -TERM "$(cat "$run/$node.pid")" 2>/dev/null || true
        fi
    done
}

# Runs a node to its end, and says what its end means to the others.
node() {
    name=$1 colour=$2
    set -- "$server" --config "$config/$name.toml"
    {
        status=0
        # The shell that writes its process id becomes the server, so the id is the server's.
        sh -c 'echo $$ >"$1"; shift; exec "$@"' - "$run/$name.pid" "$@" </dev/null 2>&1 || status=$?
        echo "$status" >"$run/$name.ended"
    } | while IFS= read -r line; do
        say "$colour" "$name" "$line"
    done
    status=$(cat "$run/$name.ended")
    # Status 0 is an orderly stop that somebody asked for: Ctrl-C reaches a node before this script has run its trap.
    if [ -e "$run/stopping" ] || [ "$status" -eq 0 ]; then
        say 0 cluster "$name has stopped"
    elif [ "$status" -gt 128 ]; then
        say 0 cluster "$name was killed (signal $((status - 128))); the others go on; 'make run${name#node}' in another terminal brings it back"
    else
        say 0 cluster "$name has ended with status $status; stopping the others"
        : >"$run/failed"
        stop
    fi
}

trap 'rm -rf "$run"' EXIT
trap stop INT TERM HUP

node node1 36 &
node node2 33 &
node node3 35 &

# A signal ends a wait early, after its trap has run.
until wait; do :; done
[ ! -e "$run/failed" ]
