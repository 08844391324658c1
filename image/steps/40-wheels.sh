#!/usr/bin/env bash
# Our programs and the libraries that they need, as folders of Python modules for both architectures: the versions and
# hashes of requirements.lock, ready-made wheels only, so that nothing is compiled and nothing is emulated.
. image/common.sh

pip=.venv/bin/pip
# The lock names for each package what wanted it; setuptools, which only builds, ends up outside.
sed '/^setuptools==/,/^[^ ]/{/^setuptools==/d;/^ /d}' requirements.lock >"$BUILD/requirements.txt"
rm -rf "$BUILD/wheel" build/lib build/bdist.*
# Our own wheel: its metadata makes the commands.
$pip wheel -q --no-deps --no-build-isolation --no-index --wheel-dir "$BUILD/wheel" .

wheels_for() { # ARCHITECTURE MACHINE
    local cache="$CACHE/wheels-$1" site="$BUILD/site-$1"
    local platform=(--only-binary=:all: --implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none)
    for glibc in 2_28 2_17; do platform+=(--platform "manylinux_${glibc}_$2"); done
    platform+=(--platform "manylinux2014_$2" --platform any)
    say "wheels for $1"
    mkdir -p "$cache"
    $pip download -q --no-deps --require-hashes -r "$BUILD/requirements.txt" --find-links "$cache" \
        --dest "$cache" "${platform[@]}"
    rm -rf "$site"
    $pip install -q --no-deps --no-compile --no-index --find-links "$cache" --require-hashes \
        -r "$BUILD/requirements.txt" --target "$site" "${platform[@]}"
    $pip install -q --no-deps --no-compile --no-index --target "$site" --upgrade "$BUILD"/wheel/*.whl
    rm -rf "${site:?}/bin" # made for this machine; image/lay.sh makes ours
}
wheels_for "$TWIN_ARCH" x86_64
wheels_for "$ROOT_ARCH" aarch64
