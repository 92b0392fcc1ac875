#!/bin/sh
# frame_test.sh VIADUCT: what the frame around the commands prints and how it ends, as TAP.
set -u
viaduct=$1
n=0

# row STATUS PATTERN ARGUMENT...: runs viaduct; its status and, in its whole output, the pattern must be there.
row() {
    want=$1 pattern=$2
    shift 2
    n=$((n + 1))
    got=$("$viaduct" "$@" 2>&1 </dev/null)
    status=$?
    if [ "$status" -eq "$want" ] && printf '%s\n' "$got" | grep -q -e "$pattern"; then
        echo "ok $n - viaduct $*"
    else
        echo "not ok $n - viaduct $*: status $status, said: $(printf '%s' "$got" | head -3 | tr '\n' '|')"
    fi
}

row 2 '^usage: viaduct COMMAND'
row 0 '^usage: viaduct COMMAND' help
row 0 '^usage: viaduct COMMAND' -h
row 0 '^usage: viaduct COMMAND' --help
row 0 '^viaduct [0-9]*\.[0-9]*\.[0-9]*$' --version
row 0 '^usage: viaduct help \[COMMAND\]$' help help
row 0 '^usage: viaduct serve ' help serve
row 0 '^usage: viaduct serve ' serve -h
row 0 '^usage: viaduct access ' access test --help
row 0 '^usage: viaduct config ' config show -c /nowhere -h
row 2 '^viaduct: no command "srve" (did you mean "serve"?)$' srve
row 2 '^viaduct: no command "xylophone"$' xylophone
row 2 '^viaduct: no command "confg" (did you mean "config"?)$' help confg
row 2 '^viaduct help: one command at a time$' help serve config
row 2 '^viaduct: no command "--bogus"$' --bogus

n=$((n + 1))
"$viaduct" help >/dev/full 2>/dev/null
if [ $? -eq 3 ]; then
    echo "ok $n - a full disk is told"
else
    echo "not ok $n - a full disk is told"
fi
echo "1..$n"
