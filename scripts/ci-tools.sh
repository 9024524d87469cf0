#!/usr/bin/env bash
# Tools of the chart and image tests that no package registry of the project has: helm, and a Debian 13 root for the image
# test. Kept outside of the checkout, made once.
#
#     source scripts/ci-tools.sh   # .ci/run does; sets PATH and TRANSCRIBE_RELAY_TRIXIE
#
# Needs Go and, for the Debian root, debootstrap and root rights.
set -euo pipefail

HELM_VERSION=v3.19.0
TOOLS_FOLDER=${XDG_CACHE_HOME:-$HOME/.cache}/transcribe-relay
export TRANSCRIBE_RELAY_TRIXIE=${TRANSCRIBE_RELAY_TRIXIE:-$TOOLS_FOLDER/trixie}

install_helm() {
  command -v helm >/dev/null && return
  export PATH="$TOOLS_FOLDER/bin:$PATH"
  command -v helm >/dev/null && return
  mkdir -p "$TOOLS_FOLDER/bin"
  GOBIN="$TOOLS_FOLDER/bin" go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
}

install_trixie() {
  [ -x "$TRANSCRIBE_RELAY_TRIXIE/usr/bin/node" ] && return
  rm -rf "$TRANSCRIBE_RELAY_TRIXIE.partial"
  mkdir -p "$(dirname "$TRANSCRIBE_RELAY_TRIXIE")"
  debootstrap --variant=minbase --include=nodejs trixie "$TRANSCRIBE_RELAY_TRIXIE.partial" >/dev/null
  rm -rf "$TRANSCRIBE_RELAY_TRIXIE.partial"/var/{cache/apt/archives,lib/apt/lists}/*
  mv "$TRANSCRIBE_RELAY_TRIXIE.partial" "$TRANSCRIBE_RELAY_TRIXIE"
}

install_helm
install_trixie
