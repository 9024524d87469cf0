#!/usr/bin/env bash
# The image without an image builder: what the Dockerfile does, in a Debian 13 root, and what a container runtime does with
# the result. Needs root rights, util-linux and a root made by debootstrap (scripts/ci-tools.sh).
#
#     image-chroot.sh build TRIXIE CHECKOUT OUT COMMAND…   runs the build stage's commands; OUT gets the image's root
#     image-chroot.sh run OUT COMMAND…                     runs a command as PID 1 of that root
#     image-chroot.sh exec PID COMMAND…                    runs one beside it, as `docker exec` would
#
# The runtime root has Node.js, the libraries that it is linked with and the application: no shell. Neither TRIXIE nor
# CHECKOUT is written to.
set -euo pipefail

USER_ID=65532
HARNESS=/.harness

build() {
  local trixie=$1 checkout=$2 out=$3
  shift 3
  mkdir -p "$out"
  unshare --mount -- bash --norc -c '
    set -euo pipefail
    trixie=$1 checkout=$2 out=$3; shift 3
    layers=$(mktemp -d)
    mount -t tmpfs tmpfs "$layers"
    mkdir "$layers"/{root,root-upper,root-work,build-upper,build-work}
    mount -t overlay overlay -o "lowerdir=$trixie,upperdir=$layers/root-upper,workdir=$layers/root-work" "$layers/root"
    mkdir "$layers/root/build" "$layers/root/image"
    mount -t overlay overlay -o "lowerdir=$checkout,upperdir=$layers/build-upper,workdir=$layers/build-work" "$layers/root/build"
    mkdir -p "$out/app"
    mount --bind "$out/app" "$layers/root/image"
    mount -t proc proc "$layers/root/proc"
    mount --rbind /dev "$layers/root/dev"
    for command; do
      chroot "$layers/root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root TARGETARCH="$(dpkg --print-architecture)" \
        /bin/sh -euc "cd /build; $command"
    done
  ' build "$trixie" "$checkout" "$out" "$@"
  assemble "$trixie" "$out"
}

# What the runtime base has that matters here: Node.js at its place, its libraries, a user.
assemble() {
  local trixie=$1 out=$2 library
  chmod 755 "$out"
  mkdir -p "$out"/{nodejs/bin,usr/lib,usr/lib64,etc,proc,dev,tmp,"$HARNESS"}
  ln -sfn usr/lib "$out/lib"
  [ -e "$trixie/lib64" ] && ln -sfn usr/lib64 "$out/lib64"
  cp "$trixie/usr/bin/node" "$out/nodejs/bin/node"
  # Debian keeps some of Node.js's own modules in files.
  mkdir -p "$out/usr/share"
  cp -r "$trixie/usr/share/nodejs" "$out/usr/share/nodejs"
  printf 'root:x:0:0::/:/none\nnonroot:x:%s:%s::/:/none\n' $USER_ID $USER_ID >"$out/etc/passwd"
  { linked "$trixie" /usr/bin/node; linked "$trixie" /usr/bin/setpriv; } | sort -u | while read -r library; do
    mkdir -p "$out$(dirname "$library")"
    cp -L "$trixie$library" "$out$library"
  done
  # Takes the rights away inside of the root, where chroot is done and none are needed any more.
  cp "$trixie/usr/bin/setpriv" "$out$HARNESS/setpriv"
}

linked() {
  chroot "$1" ldd "$2" | sed -nE 's|^.*[[:space:]](/[^ ]+) \(0x.*$|/\1|p' | sed 's|^//|/|'
}

# A container gets the variables that it is given, not those of whoever starts it.
container_environment() {
  local name
  for name in $(compgen -e); do
    case $name in RELAY_* | AWS_* | OTEL_* | NODE_ENV) printf '%s=%s\0' "$name" "${!name}" ;; esac
  done
}

run() {
  local out=$1
  shift
  local -a variables
  mapfile -d '' -t variables < <(container_environment)
  exec env -i PATH="$PATH" "${variables[@]}" unshare --mount --pid --fork --kill-child -- bash --norc -c '
    set -euo pipefail
    out=$1; shift
    mount --bind "$out" "$out"
    mount -t proc proc "$out/proc"
    mount -t tmpfs -o size=64k tmpfs "$out/dev"
    for device in null zero random urandom; do
      : >"$out/dev/$device"
      mount --bind "/dev/$device" "$out/dev/$device"
    done
    mount -o remount,bind,ro "$out"
    exec chroot "$out" '"$HARNESS"'/setpriv --reuid '$USER_ID' --regid '$USER_ID' --clear-groups \
      --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
  ' run "$out" "$@"
}

exec_beside() {
  local pid=$1
  shift
  local -a variables
  mapfile -d '' -t variables < <(container_environment)
  exec env -i PATH="$PATH" "${variables[@]}" nsenter --target "$pid" --mount --pid --root --wd -- "$HARNESS/setpriv" --reuid $USER_ID --regid $USER_ID \
    --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
}

action=${1:-}
shift || true
case $action in
  build) build "$@" ;;
  run) run "$@" ;;
  exec) exec_beside "$@" ;;
  *) echo "usage: image-chroot.sh build|run|exec …" >&2; exit 64 ;;
esac
