#!/usr/bin/env bash
# Builds the real image, starts the real compose file with three gateways, connects clients through the balancer, changes state,
# kills a gateway, and looks whether everybody comes back to the truth. Ends with "N passed, N failed".
#
#   docker/test.sh           takes 2 minutes, the first time 3 to 5; `tests/run containers` is the same
#   docker/test.sh --keep    leaves the containers running and says how to end them
#
# Needs Docker with compose, or root with podman, podman-compose and buildah (deploy/install-deps.sh --containers);
# python3-websockets and python3-yaml. Where they are missing, or containers cannot be run, its last line says so and it exits
# with 77. An official image that cannot be pulled is replaced, for this run, by one made of Debian's package of the same program
# (debootstrap for the base), and that is said too. What it starts has a project name and ports of its own.
set -uo pipefail
cd "$(dirname "$0")/.."

keep=0
case ${1-} in
'') ;;
--keep) keep=1 ;;
*) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

project=syncgate-test-$$
image=localhost/syncgate
base=docker.io/library/debian:trixie-slim
work=$(mktemp -d)
stand_ins=() # official names that we gave away
passed=0 failed=0

skip() { echo "skipped: $*"; exit 77; }
say() { echo "--- $*"; }

# check NAME COMMAND...: the command's output counts when it fails
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n%s\n' "$name" "$output"
        return 1
    fi
}

# --- the tools --------------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null; }

cleanup() {
    local status=$? name
    trap - EXIT
    if [ $keep = 1 ] && [ -n "${compose_started-}" ]; then
        echo "running at http://$SYNCGATE_PUBLISH/ as $project; to end it, remove what \`$engine ps\`, \`$engine network ls\` and"
        echo "\`$engine volume ls\` show with the label com.docker.compose.project=$project"
        stand_ins=()
    elif [ -n "${compose_started-}" ]; then
        compose_down
    fi
    # The names that are not theirs; what they named stays for the next run.
    for name in "${stand_ins[@]}"; do "$engine" rmi "$name" >/dev/null 2>&1 || true; done
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

/usr/bin/python3 -c 'import websockets, yaml' 2>/dev/null || skip "python3-websockets or python3-yaml is not installed"
if has docker && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
    engine=docker
elif has podman && has podman-compose && has buildah; then
    [ "$(id -u)" = 0 ] || skip "without Docker this needs root (podman's own networks)"
    engine=podman
else
    skip "neither Docker with compose nor podman, podman-compose and buildah are installed"
fi
files=$(ulimit -Hn)
[ "$files" = unlimited ] || [ "$files" -ge 4096 ] || skip "500 clients and their balancer need 4096 open files, the limit is $files"
say "with $engine"

build() { # TAG DOCKERFILE CONTEXT
    if [ $engine = docker ]; then
        docker build -t "$1" -f "$2" "$3"
    else
        # Inside another container runc cannot build; limits beyond our own cannot be set.
        buildah bud --format docker --layers --isolation chroot --ulimit nofile="$(ulimit -Sn):$(ulimit -Hn)" \
            -t "$1" -f "$2" "$3"
    fi
}

compose() {
    if [ $engine = docker ]; then
        docker compose -p "$project" -f docker/compose.yaml --profile monitoring "$@"
    else
        podman-compose -p "$project" -f docker/compose.yaml "$@"
    fi
}

# Everything with the project's label: not every compose takes down its networks, and none what it did not get to start.
compose_down() {
    local label=label=com.docker.compose.project=$project kind
    "$engine" ps -aq --filter "$label" | xargs -r "$engine" rm -f -v >/dev/null 2>&1
    for kind in network volume; do
        "$engine" $kind ls -q --filter "$label" | xargs -r "$engine" $kind rm >/dev/null 2>&1
    done
}

# --- the images -------------------------------------------------------------------------------------------------

there() { "$engine" image inspect "$1" >/dev/null 2>&1; }

# official NAME: pulls it, unless it is here; false when there is no way to
official() { there "$1" || timeout 300 "$engine" pull -q "$1" >"$work/pull.log" 2>&1; }

# stand_in NAME COMMAND...: COMMAND makes localhost/syncgate-test/…, which gets the name for this run
stand_in() {
    local name=$1 ours
    shift
    official "$name" && return 0
    ours=localhost/syncgate-test/${name##*/}
    "$@" "$ours" >"$work/stand-in.log" 2>&1 ||
        { tail -n 20 "$work/stand-in.log"; skip "$name can neither be pulled nor replaced"; }
    "$engine" tag "$ours" "$name" && stand_ins+=("$name")
    say "$name cannot be pulled: a stand-in made of Debian's packages takes its place"
}

make_base() { # TAG
    there "$1" && return 0
    has debootstrap || { echo "debootstrap is not installed"; return 1; }
    debootstrap --variant=minbase trixie "$work/base" && rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/* &&
        tar -C "$work/base" -c . | "$engine" import - "$1"
}

# Like the official ones as far as compose.yaml uses them: users, folders, signals, default commands.
make_redis() { # TAG
    mkdir -p "$work/redis"
    cat >"$work/redis/Dockerfile" <<EOF
FROM $base
RUN groupadd -r -g 999 redis && useradd -r -g redis -u 999 redis && apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server redis-tools \\
 && mkdir -p /data && chown redis:redis /data && rm -rf /var/lib/apt/lists/*
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
EOF
    build "$1" "$work/redis/Dockerfile" "$work/redis"
}

make_haproxy() { # TAG
    mkdir -p "$work/haproxy"
    cat >"$work/haproxy/Dockerfile" <<EOF
FROM $base
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends haproxy \\
 && rm -rf /var/lib/apt/lists/*
USER haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
EOF
    build "$1" "$work/haproxy/Dockerfile" "$work/haproxy"
}

make_prometheus() { # TAG
    mkdir -p "$work/prometheus"
    cat >"$work/prometheus/Dockerfile" <<EOF
FROM $base
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus \\
 && rm -rf /var/lib/apt/lists/* && mkdir /prometheus && chown nobody /prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
EOF
    build "$1" "$work/prometheus/Dockerfile" "$work/prometheus"
}

stand_in "$base" make_base

# Podman inside another container: limits it may not set, cgroups that its usual runtime does not know. Then it gets a
# configuration of its own; the machine's stays as it is.
runs() { timeout 60 "$engine" run --rm --network none "$base" true >"$work/run.log" 2>&1; }
if ! runs; then
    if [ $engine = podman ]; then
        processes=$(ulimit -Hu)
        [ "$processes" != unlimited ] && [ "$processes" -lt 8192 ] || processes=8192
        printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=%s:%s"]\n[engine]\nruntime = "runc"\n' \
            "$(ulimit -Sn)" "$(ulimit -Hn)" $processes $processes >"$work/containers.conf"
        export CONTAINERS_CONF=$work/containers.conf
    fi
    runs || { cat "$work/run.log"; skip "$engine cannot run a container here"; }
    say "podman runs with limits that it may set, and runc"
fi
# What the compose file needs of the machine: names, connections between containers, and a port of ours that leads to one.
free_port() { /usr/bin/python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
has_networks() {
    local name=$project-probe port status=0
    port=$(free_port)
    "$engine" network create "$name" &&
        "$engine" run -d --name "$name" --network "$name" -p "127.0.0.1:$port:8080" "$base" perl -MIO::Socket::INET -e '
            my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5) or die $!;
            while (my $c = $s->accept) { print $c "here\n"; close $c }' &&
        timeout 60 "$engine" run --rm --network "$name" "$base" perl -MIO::Socket::INET -e '
            for (1 .. 100) {
                my $c = IO::Socket::INET->new(PeerHost => $ARGV[0], PeerPort => 8080);
                exit 0 if $c && <$c> eq "here\n";
                select undef, undef, undef, 0.2;
            }
            die "no connection to $ARGV[0]\n"' "$name" &&
        /usr/bin/python3 -c 'import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
    sys.exit(s.recv(10) != b"here\n")' "$port" || status=1
    "$engine" rm -f "$name"
    "$engine" network rm "$name"
    return $status
}
has_networks >"$work/network.log" 2>&1 || { cat "$work/network.log"; skip "$engine cannot connect containers here"; }

image_of() { sed -n "s/^ *image: \(.*$1:.*\)/\1/p" docker/compose.yaml | head -n 1; }
stand_in "$(image_of redis)" make_redis
stand_in "$(image_of haproxy)" make_haproxy
stand_in "$(image_of prometheus)" make_prometheus
services=(haproxy gateway redis ticker prometheus)
if official "$(image_of grafana)"; then services+=(grafana); else say "no Grafana: its image cannot be pulled, and Debian has no package of it"; fi

say "building $image"
build_it() { build $image docker/Dockerfile . >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log"; return 1; }; }
check "docker/Dockerfile builds" build_it || { echo "$passed passed, $failed failed"; exit 1; }

# --- the image --------------------------------------------------------------------------------------------------

inspect() { "$engine" image inspect -f "$1" $image; }
sealed() { "$engine" run --rm --read-only --network none --cap-drop ALL --security-opt no-new-privileges "$@"; }

is_not_root() { [ "$(inspect '{{.Config.User}}')" = 10001:10001 ] && [ "$(sealed --entrypoint id $image -u)" = 10001 ]; }
runs_sealed() { sealed $image --check-config --redis redis://redis:6379; }
has_its_version() {
    local label
    label=$(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')
    echo "label $label, program $(sealed $image --version)"
    [ "$(sealed $image --version)" = "syncgate $label" ]
}
has_healthcheck() { "$engine" image inspect $image | grep -A 3 '"Test"' | grep -q -- --healthcheck; }
stops_by_term() { "$engine" image inspect $image | grep -q '"StopSignal": "SIGTERM"\|"SIGTERM"'; }
is_stripped() {
    local id status=0
    id=$("$engine" create $image) && "$engine" cp "$id:/usr/local/bin/syncgate" "$work/syncgate" || status=1
    "$engine" rm "$id" >/dev/null
    [ $status = 0 ] && readelf -S -W "$work/syncgate" | grep -q '\.text' && ! readelf -S -W "$work/syncgate" | grep -q '\.symtab\|\.debug'
}
is_small() {
    local own=$(($(inspect '{{.Size}}') - $("$engine" image inspect -f '{{.Size}}' $base)))
    echo "$own bytes beside the base"
    [ $own -lt $((16 << 20)) ]
}
wants_redis() { # there is none in the image: it must say so, not hang
    ! timeout 20 "$engine" run --rm $image --data-dir /tmp/data >"$work/alone.log" 2>&1 &&
        grep 'cannot start the private redis-server' "$work/alone.log"
}
check "runs as a user that is not root" is_not_root
check "runs without network, rights or a writable disk" runs_sealed
check "the label names the program's version" has_its_version
check "asks itself whether it is well" has_healthcheck
check "stops by SIGTERM" stops_by_term
if has readelf; then check "the program is stripped" is_stripped; fi
check "adds less than 16 MiB to the base" is_small
check "without a Redis it says what is missing" wants_redis

# --- the compose file -------------------------------------------------------------------------------------------

SYNCGATE_PUBLISH=127.0.0.1:$(free_port) SYNCGATE_PROMETHEUS=127.0.0.1:$(free_port) SYNCGATE_GRAFANA=127.0.0.1:$(free_port)
export SYNCGATE_PUBLISH SYNCGATE_GATEWAYS=3 SYNCGATE_PROMETHEUS SYNCGATE_GRAFANA
# Passwords that would break a careless script.
export GATEWAY_PASSWORD="g-$RANDOM" TICKER_PASSWORD="t/&'\$$RANDOM" APP_PASSWORD="p \"$RANDOM" ADMIN_PASSWORD="a b|#$RANDOM"
say "starting docker/compose.yaml and its monitoring with 3 gateways at $SYNCGATE_PUBLISH"
compose_started=1
start() {
    if [ $engine = docker ]; then compose up -d --no-build --scale gateway=3 "${services[@]}"; else compose up -d "${services[@]}"; fi >"$work/up.log" 2>&1 ||
        { tail -n 20 "$work/up.log"; return 1; }
}
if check "the compose file starts" start; then
    /usr/bin/python3 docker/test_compose.py "$engine" "$project" "$SYNCGATE_PUBLISH" | tee "$work/compose.log"
    [ "${PIPESTATUS[0]}" -le 1 ] || failed=$((failed + 1)) # it did not get to its end
    passed=$((passed + $(grep -c '^ok  ' "$work/compose.log")))
    failed=$((failed + $(grep -c '^FAILED  ' "$work/compose.log")))
fi
if [ $failed != 0 ]; then
    say "the end of what the containers say"
    for name in $("$engine" ps -a --format '{{.Names}}' | grep "^$project"); do
        echo "[$name]"
        "$engine" logs --tail 8 "$name" 2>&1
    done
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
