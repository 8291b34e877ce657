#!/usr/bin/env bash
# Installs what syncgate is built with and needs at run time, on Debian 12, Debian 13 and Ubuntu 24.04.
# Does nothing, quickly, where all of it is there already; may run several times at once.
#
#   deploy/install-deps.sh            compiler, libraries, redis-server
#   deploy/install-deps.sh --tests    and what tests/run uses: CUnit, clang, Python clients, Chromium, Node.js, HAProxy, nginx
#   deploy/install-deps.sh --containers   and what docker/test.sh uses where there is no Docker: podman and its like
#
# libwebsockets and hiredis come as packages where those are new enough. On Debian 12 they are not:
# there the source packages of Debian 13 are built, static, into build/deps/ of this tree.
set -euo pipefail

cd "$(dirname "$0")/.."
root=$PWD
script=$root/deploy/install-deps.sh
deps=$root/build/deps

lws_least=4.3.3
hiredis_least=1.2.0

build_packages=(
    build-essential cmake pkg-config ca-certificates patch xz-utils
    libevent-dev libjson-c-dev libssl-dev zlib1g-dev libcap-dev libyaml-dev libcyaml-dev
    redis-server file
)
test_packages=(
    git gnupg libcunit1-dev clang clang-tidy clang-format llvm valgrind
    python3 python3-pytest python3-pytest-timeout python3-websockets python3-redis python3-hiredis python3-requests
    python3-django python3-yaml mkdocs
    python3-venv python3-pip python3-setuptools python3-wheel python3-build mypy # the Python package
    haproxy nginx openssl
    prometheus # for promtool
    mandoc systemd # to check manual pages and units
)
container_packages=(podman catatonit buildah podman-compose runc netavark aardvark-dns iptables fuse-overlayfs debootstrap)
# What these packages start with the machine; see apt_install.
units=(redis-server:redis-server haproxy:haproxy nginx:nginx prometheus:prometheus
    podman:podman.socket podman:podman.service podman:podman-restart.service podman:podman-auto-update.timer)

say() { printf 'install-deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

with_tests=0 with_containers=0
for arg; do
    case $arg in
    --tests) with_tests=1 ;;
    --containers) with_containers=1 ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$script"; exit 0 ;;
    *) die "unknown argument $arg (there are --tests and --containers)" ;;
    esac
done

if [ "$(id -u)" = 0 ]; then as_root=(env); else as_root=(sudo env); fi
can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }
export DEBIAN_FRONTEND=noninteractive

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]; }

not_installed() {
    comm -13 <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii //p' | sort) \
        <(printf '%s\n' "$@" | sort)
}

# The version that apt would install, empty when it knows none.
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -vx '(none)' || true; }

# A library of the system itself, not of build/deps.
system_has() { env -u PKG_CONFIG_PATH pkg-config --atleast-version="$2" "$1" 2>/dev/null; }

# --- packages ---------------------------------------------------------------------------------------------

apt_updated=0
apt_update() {
    [ $apt_updated = 0 ] || return 0
    command -v apt-get >/dev/null || die "this system has no apt; install the packages of docs/ by hand"
    apt_updated=1
    can_be_root || return 0 # the lists there are will do, as long as no package is missing
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 update || say "apt-get update failed, trying with the lists there are"
}

# Debian starts a service as soon as its package is installed. A policy that says no, for as long as apt runs,
# keeps redis-server from taking port 6379 and nginx from taking port 80; and what was not there before is not started
# with the machine either. A policy of the machine's own is left as it is, and so is a service that was there.
apt_install() {
    [ $# -gt 0 ] || return 0
    can_be_root || die "missing packages: $*; run this as root or install sudo"
    apt_update
    say "installing $*"
    local policy=/usr/sbin/policy-rc.d ours=0 unit new_units=()
    for unit in "${units[@]}"; do is_installed "${unit%%:*}" || new_units+=("$unit"); done
    if ! "${as_root[@]}" test -e $policy; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" sh -c "cat >$policy && chmod 755 $policy"
        ours=1
    fi
    local status=0
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "$@" </dev/null >&2 || status=$?
    [ $ours = 0 ] || "${as_root[@]}" rm -f $policy
    for unit in "${new_units[@]}"; do
        if is_installed "${unit%%:*}" && command -v systemctl >/dev/null; then
            "${as_root[@]}" systemctl disable --quiet "${unit#*:}" >/dev/null 2>&1 || true
        fi
    done
    [ $status = 0 ] || die "apt-get install failed"
}

# The sanitizer and fuzzer run-time belongs to clang's own version and is not among its dependencies everywhere.
clang_runtime_package() {
    local major
    major=$(clang -dumpversion 2>/dev/null | cut -d. -f1) || return 0
    [ -z "$major" ] || echo "libclang-rt-$major-dev"
}

install_packages() {
    local wanted=("${build_packages[@]}") missing=() package
    [ $with_tests = 0 ] || wanted+=("${test_packages[@]}")
    [ $with_containers = 0 ] || wanted+=("${container_packages[@]}")
    mapfile -t missing < <(not_installed "${wanted[@]}")
    if [ $with_tests = 1 ]; then
        # Node.js may come from elsewhere than Debian and then brings npm along; Debian's npm would break it.
        command -v node >/dev/null || missing+=(nodejs)
        command -v npm >/dev/null || command -v node >/dev/null || missing+=(npm)
    fi
    apt_install "${missing[@]}"
    [ $with_tests = 1 ] || return 0
    command -v npm >/dev/null || apt_install npm
    package=$(clang_runtime_package)
    [ -z "$package" ] || is_installed "$package" || apt_install "$package"
    if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
        apt_update
        if [ -n "$(candidate chromium)" ]; then
            apt_install chromium
        else
            say "no package named chromium here (Ubuntu has it as a snap only): the browser tests need one"
        fi
    fi
}

# --- libraries that Debian 12 has too old -----------------------------------------------------------------

# unpack_source NAME -> ./source, with Debian's patches applied
unpack_source() {
    local name=$1 files patch
    files=$("$root/deploy/debian-source" "$name") || exit 1 # it has said why
    mkdir source
    tar -x -f "$(sed -n 1p <<<"$files")" -C source --strip-components=1
    tar -x -f "$(sed -n 2p <<<"$files")" -C source
    while read -r patch _; do
        case $patch in '' | '#'*) continue ;; esac
        patch -d source -p1 -s --no-backup-if-mismatch <"source/debian/patches/$patch" >&2 ||
            die "$name: Debian's patch $patch does not apply"
    done <source/debian/patches/series
}

cmake_install() {
    cmake -S source -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-g -DCMAKE_INSTALL_PREFIX="$deps" \
        -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POSITION_INDEPENDENT_CODE=ON "$@" >log 2>&1 &&
        cmake --build build -j "$(nproc)" >>log 2>&1 &&
        cmake --install build >>log 2>&1 || { tail -n 40 log >&2; die "building in $PWD failed"; }
}

# No event library: the gateway brings its own (gateway/net/evlib.c).
build_libwebsockets() {
    unpack_source libwebsockets
    local on=() off=() option
    for option in LWS_WITH_STATIC LWS_STATIC_PIC LWS_WITH_SSL LWS_WITH_ZLIB LWS_IPV6 LWS_UNIX_SOCK \
        LWS_WITHOUT_CLIENT LWS_WITHOUT_TESTAPPS LWS_WITHOUT_DAEMONIZE LWS_WITH_CUSTOM_HEADERS \
        LWS_WITH_HTTP_UNCOMMON_HEADERS DISABLE_WERROR; do on+=("-D$option=ON"); done
    for option in LWS_WITH_SHARED LWS_WITHOUT_EXTENSIONS LWS_WITH_BUNDLED_ZLIB LWS_WITH_HTTP2 LWS_WITH_EXTERNAL_POLL \
        LWS_WITH_NETLINK LWS_WITH_SECURE_STREAMS LWS_WITH_PLUGINS LWS_WITH_PLUGINS_API LWS_WITH_EVLIB_PLUGINS \
        LWS_WITH_LIBEVENT LWS_WITH_LIBEV LWS_WITH_LIBUV LWS_WITH_GLIB LWS_WITH_SDEVENT LWS_WITH_ULOOP \
        LWS_WITH_MINIMAL_EXAMPLES LWS_WITH_LEJP LWS_WITH_LEJP_CONF LWS_WITH_LWSAC LWS_WITH_LWS_DSH \
        LWS_WITH_SYS_SMD LWS_WITH_SYS_STATE LWS_WITH_UDP LWS_WITH_DIR LWS_WITH_HTTP_BASIC_AUTH LWS_WITH_UPNG \
        LWS_WITH_GZINFLATE LWS_WITH_JPEG LWS_WITH_DLO LWS_WITH_CACHE_NSCOOKIEJAR LWS_ROLE_RAW_FILE \
        LWS_CTEST_INTERNET_AVAILABLE; do off+=("-D$option=OFF"); done
    cmake_install "${on[@]}" "${off[@]}"
}

build_hiredis() {
    unpack_source hiredis
    # hiredis checks what it believes of a reply with assert: no NDEBUG.
    cmake_install -DBUILD_SHARED_LIBS=OFF -DENABLE_SSL=OFF -DDISABLE_TESTS=ON -DENABLE_EXAMPLES=OFF \
        -DCMAKE_C_FLAGS_RELEASE=-O2
}

# What is in build/deps belongs to its sources, to how they are built here, to this system and to this folder (which the
# .pc files name).
stamp_text() {
    { declare -f "$1" cmake_install; echo "$deps"; cat "$root/deploy/debian-source.sha256" /etc/os-release; uname -m; } | sha256sum
}

# from_source NAME BUILD-FUNCTION
from_source() {
    local name=$1 work
    apt_update
    say "building $name into ${deps#"$root"/}"
    rm -f "$deps/$name.stamp"
    work=$(mktemp -d)
    (trap 'rm -rf "$work"' EXIT && cd "$work" && "$2")
    stamp_text "$2" >"$deps/$name.stamp"
}

# library PKGCONFIG-NAME LEAST PACKAGE SOURCE BUILD-FUNCTION
library() {
    if system_has "$1" "$2"; then
        # After an upgrade of the system our own build must not be found first.
        rm -f "$deps/lib/pkgconfig/$1"*.pc "$deps/$4.stamp"
        return 0
    fi
    if [ "$(cat "$deps/$4.stamp" 2>/dev/null)" = "$(stamp_text "$5")" ]; then return 0; fi
    apt_update
    local version
    version=$(candidate "$3")
    if [ -n "$version" ] && dpkg --compare-versions "$version" ge "$2"; then
        apt_install "$3"
    else
        from_source "$4" "$5"
    fi
}

# --- main -------------------------------------------------------------------------------------------------

mkdir -p "$deps"
exec 9>"$deps/.lock"
command -v flock >/dev/null && flock 9

install_packages
library libwebsockets $lws_least libwebsockets-dev libwebsockets build_libwebsockets
library hiredis $hiredis_least libhiredis-dev hiredis build_hiredis
