#!/usr/bin/env bash
# The whole test command: formatting, lints, all tests, documentation.
#
# Needs Rust and a C compiler. The GPU tests need some Vulkan driver; on a Debian machine without any, this
# installs lavapipe, a Vulkan that runs on the processor.
set -euo pipefail
cd "$(dirname "$0")/.."

# Vulkan's loader complains on every start when this is missing.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"
export RUST_BACKTRACE=0

has_vulkan_driver() {
  compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]
}

if [ "$(uname -s)" = Linux ] && ! has_vulkan_driver; then
  if command -v apt-get >/dev/null; then
    echo "== no Vulkan driver was found: installing lavapipe (mesa-vulkan-drivers, libvulkan1)"
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq mesa-vulkan-drivers libvulkan1 >/dev/null
  else
    echo "== no Vulkan driver was found, and no apt-get to install one: the GPU tests will fail and say what to do"
  fi
fi

echo "== formatting"
cargo fmt --check
echo "== lints"
cargo clippy --all-targets --quiet -- -D warnings
echo "== tests"
cargo test
echo "== tests of the CPU engine with narrower instruction sets"
for instructions in baseline avx2; do
  MSD_GPU_INSTRUCTIONS=$instructions cargo test --quiet --test cpu_cross_check
done
echo "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
echo "== all good"
