#!/bin/sh
# Changes what the page shows: the variable demo:clock once a second, the list demo:todo every third. Each change is one call
# with a full key, because this user of Redis may touch no other keys (docs/redis-api.md).
set -u

clock='sg:{demo:clock}'
list='sg:{demo:todo}'
items=20 # that it keeps in the list, beside those of others
number=0

# fcall FUNCTION KEY ARGUMENT...: prints the answer. Errors of Redis are answers too.
fcall() {
    function=$1
    shift
    redis-cli -h redis --user ticker FCALL "$function" 1 "$@" 2>&1
}

# put ID VALUE: to the top of the list
put() {
    case $(fcall sg_list_insert "$list" 0 "$1" "$2") in
    *SGID*) # is there already
        fcall sg_list_move "$list" "$1" 0
        fcall sg_list_set "$list" "$1" "$2"
        ;;
    esac >/dev/null
}

trap 'exit 0' TERM INT
while :; do
    time=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    answer=$(fcall sg_var_set "$clock" "\"$time\"")
    case $answer in
    '' | *[!0-9]*) echo "ticker: $answer" >&2 ;; # Redis is away, or no gateway has loaded the functions yet
    *)
        number=$((number + 1))
        [ $((number % 3)) != 0 ] || put "tick-$((number / 3 % items))" "\"tick $number at $time\""
        ;;
    esac
    sleep 1 &
    wait $!
done
