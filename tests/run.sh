#!/usr/bin/env bash
# The whole test command: formatting, lints, all tests, documentation.
#
# Needs Rust and a C compiler. The GPU tests need some Vulkan driver; on a Debian machine without any, this
# installs lavapipe, a Vulkan that runs on the processor; a newer one with matrix units is unpacked into target/.
# Python 3 is needed for the checks of exported models, of TIFF files, of Zarr folders and of the Python module alone.
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

# Python packages go into an environment of their own, which is kept. MSD_GPU_ALL_CHECKS=1 makes it a failure that they
# cannot be installed.
environment="${CARGO_TARGET_DIR:-target}/python-checks"
python="$environment/bin/python"

install_python_packages() {
  if ! "$python" -c 'import dask.array, distributed, h5py, imagecodecs, maturin, mrcfile, mypy, nibabel, numpy, ome_zarr, ome_zarr_models, onnxruntime, pytest, scipy, sklearn, tifffile, zarr' 2>/dev/null; then
    echo "== installing Python packages for the checks of exported models, image files and the Python module"
    if ! python3 -c 'import ensurepip' 2>/dev/null && command -v apt-get >/dev/null; then
      install_debian_packages python3 python3-venv || true
    fi
    python3 -m venv "$environment" && "$python" -m pip install --quiet 'dask[array,distributed]' h5py imagecodecs maturin mrcfile mypy nibabel \
      numpy ome-zarr ome-zarr-models onnxruntime pytest scikit-learn scipy tifffile zarr
  fi
}

# Open MPI, for training by several processes; the library is loaded by the program, so that nothing is built for it.
install_mpi() {
  command -v mpirun >/dev/null && return
  command -v apt-get >/dev/null || return
  echo "== installing Open MPI"
  install_debian_packages openmpi-bin
}

check_mpi() {
  cargo test --quiet --test commands -- --ignored processes
}

# A browser for the page of the portal.
install_browser() {
  command -v chromedriver >/dev/null && command -v chromium >/dev/null && return
  command -v apt-get >/dev/null || return
  echo "== installing Chromium for the page of the portal"
  install_debian_packages chromium chromium-driver
}

check_exported_models() {
  MSD_GPU_PYTHON="$python" cargo test --quiet --test exchange -- --ignored onnxruntime
}

# Files that tifffile wrote in random ways, always the same ones.
check_tiff_files() {
  MSD_GPU_PYTHON="$python" cargo test --quiet --test random_files -- --ignored tiff
}

# Zarr folders: those that zarr-python wrote in random ways, and those that it and ome-zarr are to read.
check_zarr_folders() {
  MSD_GPU_PYTHON="$python" cargo test --quiet --test random_files -- --ignored zarr
  MSD_GPU_PYTHON="$python" cargo test --quiet --lib -- --ignored zarr_folders
}

# Stacks that are written, in h5py, mrcfile, nibabel and NumPy.
check_stacks() {
  MSD_GPU_PYTHON="$python" cargo test --quiet --lib -- --ignored stacks_are_read_by_other_programs
}

# A dataset that h5py writes while it is watched.
check_growing_datasets() {
  MSD_GPU_PYTHON="$python" cargo test --quiet --test commands -- --ignored growing_hdf5
}

# The profile of the tests, whose dependencies are built already.
check_python_module() {
  PATH="$(realpath "$environment")/bin:$PATH" \
    "$python" -m pip install --quiet --no-build-isolation --config-settings=build-args="--profile dev" .
  # With the types of the stubs and examples, which mypy checks.
  "$python" -m pytest --quiet
}

# With a random forest on the same strokes, where there is Python for it.
check_portal_in_a_browser() {
  local with_python=()
  [ ! -x "$python" ] || with_python=(MSD_GPU_PYTHON="$python")
  env "${with_python[@]}" cargo test --quiet --test portal -- --ignored in_a_browser
}

# PyTorch is large: it is used where it is installed.
check_against_pytorch() {
  MSD_GPU_PYTHON=python3 cargo test --quiet --test exchange -- --ignored pytorch
  for device in cpu gpu; do
    python3 benches/peers/learning.py "${CARGO_TARGET_DIR:-target}/debug/msd-gpu" --device "$device"
  done
}

# A second software Vulkan, which has matrix units.
check_on_newer_lavapipe() {
  local folder
  folder="$(realpath "$newer_lavapipe")"
  MSD_GPU_NEEDS_MATRICES=1 VK_DRIVER_FILES="$folder/lvp.json" \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$folder/ld-linux-x86-64.so.2 --library-path $folder" \
    cargo test --quiet --test gpu_cross_check -- --skip every_tuning
}

echo "== formatting"
cargo fmt --all --check
echo "== lints"
cargo clippy --workspace --all-targets --quiet -- -D warnings
echo "== the library without the command line, without GPUs and the portal, and without all"
for features in cli gpu,portal ""; do
  cargo clippy --lib --bins --tests --quiet --no-default-features --features "$features" -- -D warnings
done
echo "== fuzz targets"
# They are not linked, so that libFuzzer, which is in C++, need not be built.
CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo check --quiet --manifest-path fuzz/Cargo.toml
unwanted='^(axum|clap|ctrlc|env_logger|indicatif|libloading|pollster|tokio|wgpu)( |$)'
if cargo tree --no-default-features --edges features,no-dev --target all --prefix none | grep -E "$unwanted"; then
  echo "the library depends on these without the features cli, gpu, mpi and portal"
  exit 1
fi
# The same tests run below with all features: here it is enough that they compile, and that the library trains, for which it need not be
# fast: most of the time goes into compiling it.
CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo run --quiet --no-default-features --example train_on_arrays
echo "== tests"
cargo test
echo "== tests of the CPU engine with narrower instruction sets"
for instructions in baseline avx2; do
  MSD_GPU_INSTRUCTIONS=$instructions cargo test --quiet --test cpu_cross_check
done
newer_lavapipe="${CARGO_TARGET_DIR:-target}/newer-lavapipe"
if bash tests/newer_lavapipe.sh "$newer_lavapipe"; then
  echo "== the GPU's cross-checks on a newer software Vulkan, with matrix units"
  check_on_newer_lavapipe
else
  echo "== not checked: matrix units, as the newer software Vulkan cannot be unpacked here"
  [ -z "${MSD_GPU_ALL_CHECKS:-}" ]
fi
if install_python_packages; then
  echo "== exported models in onnxruntime"
  check_exported_models
  echo "== random TIFF files"
  check_tiff_files
  echo "== random Zarr folders, and those that other programs read"
  check_zarr_folders
  echo "== HDF5, MRC, NIfTI and NPY files in the programs of others"
  check_stacks
  echo "== an HDF5 dataset that grows"
  check_growing_datasets
  echo "== the arithmetic of what many GPUs would take"
  "$python" -m doctest benches/scaling_model.py benches/peers/steps_to_score.py
  echo "== the Python module"
  check_python_module
else
  echo "== not checked: ONNX files, TIFF and Zarr files and the Python module, as Python packages cannot be installed here"
  [ -z "${MSD_GPU_ALL_CHECKS:-}" ]
fi
if [ "$(uname -s)" = Linux ] && install_mpi; then
  echo "== training by processes of MPI"
  check_mpi
else
  echo "== not checked: training by processes of MPI, as there is no mpirun, and no apt-get to install one"
  [ -z "${MSD_GPU_ALL_CHECKS:-}" ]
fi
if command -v shellcheck >/dev/null || { command -v apt-get >/dev/null && install_debian_packages shellcheck; }; then
  echo "== job scripts and the container recipe"
  shellcheck examples/slurm/*.sh
  bash tests/container_recipe.sh
else
  echo "== not checked: job scripts and the container recipe, as there is no shellcheck"
  [ -z "${MSD_GPU_ALL_CHECKS:-}" ]
fi
if command -v node >/dev/null; then
  echo "== rules of the portal's page"
  node --test tests/portal_page/*.mjs
else
  echo "== not checked: rules of the portal's page, as there is no node"
fi
if install_browser; then
  echo "== the portal in Chromium"
  check_portal_in_a_browser
else
  echo "== not checked: the portal in a browser, as there is no chromedriver, and no apt-get to install one"
  [ -z "${MSD_GPU_ALL_CHECKS:-}" ]
fi
if python3 -c 'import numpy, torch' 2>/dev/null; then
  echo "== exported models and learning in PyTorch"
  check_against_pytorch
else
  echo "== not checked: PyTorch modules and learning as PyTorch does, as python3 has no torch"
fi
echo "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
echo "== all good"
