#!/bin/sh
# What a KMS key does to an encrypted Aurora cluster: three scenarios by hand, with the AWS CLI and
# psql, against the lab. In one shell `chaos kms lab`; in another paste what it printed, then run this.
set -eu

case ${AWS_ENDPOINT_URL:-} in
    http://127.0.0.1:*) ;;
    *) echo "Paste what 'chaos kms lab' printed first: this is for the lab alone." >&2; exit 2 ;;
esac

for tool in aws psql; do
    command -v "$tool" > /dev/null || { echo "$tool is not on the PATH: paste all that 'chaos kms lab' printed, in the environment that make made." >&2; exit 2; }
done

export AWS_PAGER='' PSQL_PAGER='' PGCONNECT_TIMEOUT=5 PGPASSWORD=not-needed
suffix=$$
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

status() {
    aws rds describe-db-clusters --db-cluster-identifier "$1" --query 'DBClusters[0].Status' --output text
}
snapshot_status() {
    aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier "$1" \
        --query 'DBClusterSnapshots[0].Status' --output text
}
instance_status() {
    aws rds describe-db-instances --db-instance-identifier "$1" \
        --query 'DBInstances[0].DBInstanceStatus' --output text
}
wait_for() { # what to ask, of what, and the answer to wait for
    tries=0
    until [ "$("$1" "$2")" = "$3" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "$2 is $("$1" "$2"), not $3"
        sleep 0.5
    done
    echo "$2 is $3"
}
come_back() { # by itself, or (profile documented) only when it is started
    tries=0
    until [ "$(status "$1")" = available ] || [ "$tries" -ge 60 ]; do
        tries=$((tries + 1))
        sleep 0.5
    done
    if [ "$(status "$1")" = inaccessible-encryption-credentials-recoverable ]; then
        echo "it does not come back by itself: it is started"
        aws rds start-db-cluster --db-cluster-identifier "$1" --query DBCluster.Status --output text
    fi
    wait_for status "$1" available
}
connection() { # libpq's connection string of a cluster
    printf 'host=%s port=%s dbname=shop user=app' $(aws rds describe-db-clusters \
        --db-cluster-identifier "$1" --query 'DBClusters[0].[Endpoint, Port]' --output text)
}
names() { psql -XAt "$1" -c 'SELECT name FROM users ORDER BY id'; }
new_key() { aws kms create-key --description "$1" --query KeyMetadata.Arn --output text; }
new_instance() {
    aws rds create-db-instance --db-cluster-identifier "$1" --db-instance-identifier "$1-1" \
        --db-instance-class db.r6g.large --engine aurora-postgresql \
        --query DBInstance.DBInstanceStatus --output text
    wait_for instance_status "$1-1" available
}

say "Scenario 1: a cluster encrypted with a customer managed key"
key_a=$(new_key "key A of the tutorial")
original=tutorial-$suffix
aws rds create-db-cluster --db-cluster-identifier "$original" --engine aurora-postgresql \
    --master-username app --master-user-password not-needed --database-name shop \
    --storage-encrypted --kms-key-id "$key_a" --query DBCluster.Status --output text
new_instance "$original"
used=$(aws rds describe-db-clusters --db-cluster-identifier "$original" \
    --query 'DBClusters[0].KmsKeyId' --output text)
[ "$used" = "$key_a" ] || fail "encrypted under $used"
echo "encrypted under $used, $(aws kms describe-key --key-id "$used" \
    --query KeyMetadata.KeyManager --output text) managed; Aurora's grant on it allows:"
aws kms list-grants --key-id "$key_a" --query 'Grants[0].Operations' --output text

say "Scenario 2: disable the key, then enable it again"
a=$(connection "$original")
psql -XqAt "$a" <<'SQL'
CREATE TABLE users (
    id SERIAL PRIMARY KEY, name VARCHAR(100), email VARCHAR(100),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO users (name, email) VALUES
    ('Alice', 'alice@example.com'), ('Bob', 'bob@example.com'), ('Charlie', 'charlie@example.com');
SQL
names "$a"
psql -XqAt "$a" -c "INSERT INTO users (name, email) VALUES ('David', 'david@example.com')"
mkfifo "$work/session"
psql -XAt "$a" < "$work/session" > "$work/answers" 2> "$work/errors" &
exec 3> "$work/session"
echo "SELECT 'the session is open';" >&3

aws kms disable-key --key-id "$key_a"
if names "$a" > /dev/null; then echo "disabled: nothing happens at first"; fi
wait_for status "$original" inaccessible-encryption-credentials-recoverable

echo "SELECT 'answered';" >&3
if names "$a" 2> "$work/new"; then fail "a new connection was answered"; fi
echo "a new connection: $(tail -n 1 "$work/new")"
if grep -q answered "$work/answers"; then fail "the open session was answered"; fi
echo "the open session: no answer, no error: '$(cat "$work/answers" "$work/errors")'"
if aws rds start-db-cluster --db-cluster-identifier "$original" 2> "$work/refused"; then
    fail "it was started without its key"
fi
grep -o 'KMSKeyNotAccessibleFault' "$work/refused"

aws kms enable-key --key-id "$key_a"
echo "enabled: still $(status "$original")"
come_back "$original"
exec 3>&-
names "$a"

say "Scenario 3: a snapshot under another key"
key_b=$(new_key "key B of the tutorial")
aws rds create-db-cluster-snapshot --db-cluster-identifier "$original" \
    --db-cluster-snapshot-identifier "under-a-$suffix" --query DBClusterSnapshot.Status --output text
wait_for snapshot_status "under-a-$suffix" available
aws rds copy-db-cluster-snapshot --source-db-cluster-snapshot-identifier "under-a-$suffix" \
    --target-db-cluster-snapshot-identifier "under-b-$suffix" --kms-key-id "$key_b" \
    --query DBClusterSnapshot.Status --output text
wait_for snapshot_status "under-b-$suffix" available
restored=restored-$suffix
aws rds restore-db-cluster-from-snapshot --db-cluster-identifier "$restored" \
    --snapshot-identifier "under-b-$suffix" --engine aurora-postgresql \
    --query DBCluster.Status --output text
wait_for status "$restored" available
new_instance "$restored"
b=$(connection "$restored")
names "$b"

aws kms disable-key --key-id "$key_a"
wait_for status "$original" inaccessible-encryption-credentials-recoverable
if names "$a" 2> /dev/null; then fail "the original answered"; fi
echo "the original hangs; the restored one answers:"
names "$b"
if aws rds restore-db-cluster-from-snapshot --db-cluster-identifier "too-late-$suffix" \
    --snapshot-identifier "under-a-$suffix" --engine aurora-postgresql 2> "$work/refused"; then
    fail "a snapshot was restored without its key"
fi
echo "and the snapshot under key A cannot be restored: $(grep -o KMSKeyNotAccessibleFault "$work/refused")"
aws kms enable-key --key-id "$key_a"
say "All three scenarios went as the article tells. ($original and $restored go with the lab.)"
