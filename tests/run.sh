#!/usr/bin/env bash
# The whole test command: formatting, lints, all tests, documentation.
#
# Needs Rust and a C compiler. The GPU tests need some Vulkan driver; on a Debian machine without any, this
# installs lavapipe, a Vulkan that runs on the processor. Python 3 is needed for the checks of exported models alone.
set -euo pipefail
cd "$(dirname "$0")/.."

# Vulkan's loader complains on every start when this is missing.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"
export RUST_BACKTRACE=0

install_debian_packages() {
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

has_vulkan_driver() {
  compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]
}

if [ "$(uname -s)" = Linux ] && ! has_vulkan_driver; then
  if command -v apt-get >/dev/null; then
    echo "== no Vulkan driver was found: installing lavapipe (mesa-vulkan-drivers, libvulkan1)"
    install_debian_packages mesa-vulkan-drivers libvulkan1
  else
    echo "== no Vulkan driver was found, and no apt-get to install one: the GPU tests will fail and say what to do"
  fi
fi

# Exported models in other programs. numpy and onnxruntime go into an environment of their own, which is kept; PyTorch
# is used where it is installed. MSD_GPU_ALL_CHECKS=1 makes it a failure that onnxruntime cannot be installed.
check_exported_models() {
  local environment="${CARGO_TARGET_DIR:-target}/python-checks"
  local python="$environment/bin/python"
  if ! "$python" -c 'import numpy, onnxruntime' 2>/dev/null; then
    echo "== installing numpy and onnxruntime for the checks of exported models"
    if ! python3 -c 'import ensurepip' 2>/dev/null && command -v apt-get >/dev/null; then
      install_debian_packages python3 python3-venv || true
    fi
    { python3 -m venv "$environment" && "$python" -m pip install --quiet numpy onnxruntime; } || true
  fi
  if "$python" -c 'import numpy, onnxruntime' 2>/dev/null; then
    MSD_GPU_PYTHON="$python" cargo test --quiet --test exchange -- --ignored onnxruntime
  else
    echo "== not checked: ONNX files, as onnxruntime cannot be installed here"
    [ -z "${MSD_GPU_ALL_CHECKS:-}" ]
  fi
  if python3 -c 'import numpy, torch' 2>/dev/null; then
    MSD_GPU_PYTHON=python3 cargo test --quiet --test exchange -- --ignored pytorch
  else
    echo "== not checked: PyTorch modules, as python3 has no torch"
  fi
}

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
echo "== exported models in onnxruntime and PyTorch"
check_exported_models
echo "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
echo "== all good"
