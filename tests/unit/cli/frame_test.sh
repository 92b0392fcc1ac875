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

row 2 '^viaduct serve: "-x": no such option, or its value is missing$' serve -x
row 2 '^viaduct serve: -l here: not an address with its port' serve -l here

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 777 "$folder" # the proxies below change to another account, and keep what they keep here
export STATE_DIRECTORY="$folder" RUNTIME_DIRECTORY="$folder"
echo 'user no-such-account;' >"$folder/user.conf"
echo 'authentication { }' >"$folder/authentication.conf"
row 2 'user.conf:1: user no-such-account: no such account' config check -c "$folder/user.conf"
row 0 'authentication.conf: .*/accounts.conf is not there: nobody can log in' \
    config check -c "$folder/authentication.conf"

# What is turned off is not missed.
printf 'console off; mtu-healing off;\nlisten 192.0.2.1:1;\n' >"$folder/off.conf"
n=$((n + 1))
case $("$viaduct" serve -c "$folder/off.conf" 2>&1) in
*"not served by this version"*) echo "not ok $n - nobody is warned of what the file turns off" ;;
*"cannot listen on 192.0.2.1:1"*) echo "ok $n - nobody is warned of what the file turns off" ;;
*) echo "not ok $n - it began to serve" ;;
esac

# A closed stream's number never goes to a socket: the log would be written into it.
mkfifo "$folder/stderr"
n=$((n + 1))
"$viaduct" serve -c /dev/null -l 127.0.0.1:0 >&- 2>"$folder/stderr" &
pid=$!
stdout=
while read -r line; do
    case $line in
    *"listening on"*)
        stdout=$(readlink "/proc/$pid/fd/1")
        kill "$pid"
        ;;
    esac
done <"$folder/stderr"
wait "$pid"
if [ "$stdout" = /dev/null ]; then
    echo "ok $n - a closed standard output stays closed to sockets"
else
    echo "not ok $n - a closed standard output became $stdout"
fi

n=$((n + 1))
"$viaduct" help >/dev/full 2>/dev/null
if [ $? -eq 3 ]; then
    echo "ok $n - a full disk is told"
else
    echo "not ok $n - a full disk is told"
fi
echo "1..$n"
