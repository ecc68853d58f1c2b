#!/bin/sh
# Workers of one load on machines that ssh reaches, one for each name, until the load ends or Ctrl-C:
# sh deploy/workers/ssh.sh 10.0.0.5:5557 user@machine-1 user@machine-2
# There have to be the package, and the database's password (~/.pgpass). CHAOS is how it is called there.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: ssh.sh HOST:PORT MACHINE ... (HOST:PORT: CHAOS_LOAD_MASTER of the run)" >&2
    exit 2
fi
master=$1
shift

workers=''
trap 'kill $workers 2> /dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for machine in "$@"; do
    # With a terminal (-tt) the worker ends with its connection.
    ${SSH:-ssh -tt -o BatchMode=yes -o ServerAliveInterval=15} "$machine" \
        "${CHAOS:-chaos}" kms load-worker "$master" < /dev/null &
    workers="$workers $!"
done

status=0
for worker in $workers; do
    wait "$worker" || status=$?
done
exit "$status"
