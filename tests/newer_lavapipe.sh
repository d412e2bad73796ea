#!/usr/bin/env bash
# Unpacks a newer lavapipe than this Debian's own, Mesa 26 with matrix units, with all libraries that it needs into a folder: about
# 180 MB. Nothing of the system is changed. Does nothing where the folder has it already.
#
#     bash tests/newer_lavapipe.sh FOLDER
#     VK_DRIVER_FILES=FOLDER/lvp.json FOLDER/ld-linux-x86-64.so.2 --library-path FOLDER PROGRAM
set -euo pipefail
[ -e "$1/complete" ] && exit 0
if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "the newer lavapipe can be unpacked on Debian and x86-64 only" >&2
  exit 1
fi
rm -rf "$1"
folder="$(mkdir -p "$1" && cd "$1" && pwd)"
state="$(mktemp -d)"
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/{lists/partial,packages,root,cache/archives/partial}
# The mirror that this system uses, with lists of its own beside the system's.
mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1)"
if [ -z "$mirror" ]; then
  echo "apt knows no mirror of Debian; run apt-get update first" >&2
  exit 1
fi
for suite in trixie trixie-backports; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$state/sources.list"
: >"$state/status"
options=(-qq -oAPT::Architecture=amd64 -oAPT::Sandbox::User=root -oAcquire::Retries=3 -oDir::Cache="$state/cache"
  -oDir::Etc::SourceList="$state/sources.list" -oDir::Etc::SourceParts=/dev/null -oDir::State::Lists="$state/lists"
  -oDir::State::status="$state/status")
apt-get "${options[@]}" update
# The driver's dependencies; the loader finds the driver by the manifest that is written below.
packages=(libc6 libgcc-s1 libstdc++6 libllvm19 libz3-4 libxml2 libedit2 libtinfo6 libffi8 libzstd1 liblzma5 zlib1g libexpat1 libdrm2
  libx11-xcb1 libxshmfence1 libxcb1 libxcb-present0 libxcb-shm0 libxcb-dri3-0 libxcb-xfixes0 libxcb-sync1 libxcb-randr0 libxau6
  libxdmcp6 libbsd0 libmd0 libwayland-client0 libdisplay-info2 libvulkan1 mesa-vulkan-drivers/trixie-backports)
(cd "$state/packages" && apt-get "${options[@]}" download "${packages[@]}")
for package in "$state"/packages/*.deb; do dpkg-deb -x "$package" "$state/root"; done
libraries="$state/root/usr/lib/x86_64-linux-gnu"
find "$libraries" -name 'libvulkan_*' -not -name '*lvp*' -delete
cp -a "$libraries"/lib*.so* "$folder/"
# Programs of this system need the C library of the driver, and so its own loader of programs.
cp -L "$libraries/ld-linux-x86-64.so.2" "$folder/"
printf '{"ICD": {"api_version": "1.4.0", "library_path": "%s/libvulkan_lvp.so"}, "file_format_version": "1.0.1"}\n' "$folder" \
  >"$folder/lvp.json"
touch "$folder/complete"
