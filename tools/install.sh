#!/usr/bin/env bash
# Installs sr4ir_mm and everything it needs. Run it again at any time: when
# nothing changed it returns at once. Progress goes to stderr; stdout is one
# line, the Python of the environment:
#     PYTHON=$(bash tools/install.sh)
#
# It installs into the active virtual or conda environment, else into `.venv`
# (`.venv-torch2.1` when that stack is asked for). See docs/en/get_started.md.
#
#   SR4IR_STACK   torch2.11 (default; Python 3.10-3.12), torch2.1 (3.8-3.11) or
#                 onedl (3.10-3.13): OpenMMLab's maintained forks
#   SR4IR_CPU=1   mmcv's operators for the CPU only, although there is a GPU
#   FORCE_CUDA=1  torch and mmcv's operators for CUDA, although there is no GPU
#   MAX_JOBS      how many files to compile at a time (default: all cores)
set -euo pipefail
exec 3>&1 1>&2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { echo "==> $*"; }
fail() { echo "install.sh: $*"; exit 1; }
fail_for_now() { echo "install.sh: $*"; exit 75; }  # network, or disk

# ---- which environment, Python, stack and device ----------------------------
venv=${VIRTUAL_ENV:-}
[[ $venv || ${CONDA_DEFAULT_ENV:-base} == base ]] || venv=$CONDA_PREFIX
[[ $venv || ${SR4IR_STACK:-torch2.11} == torch2.11 ]] ||
    venv=$PWD/.venv-$SR4IR_STACK
venv=${venv:-$PWD/.venv}
stamp=$venv/.sr4ir_mm
if [[ ! ${SR4IR_STACK:-} && -f $stamp ]]; then  # an environment keeps its own
    SR4IR_STACK=$(grep -oE '^(torch2\.[0-9]+|onedl)' "$stamp" || true)
fi
case ${SR4IR_STACK:-} in
    '') needs='Python 3.8-3.12' ;;
    torch2.11) needs='Python 3.10-3.12 for the stack torch2.11' ;;
    torch2.1) needs='Python 3.8-3.11 for the stack torch2.1' ;;
    onedl) needs='Python 3.10-3.13 for the stack onedl' ;;
    *) fail "SR4IR_STACK is '$SR4IR_STACK'; it must be torch2.11, torch2.1 or" \
        "onedl." ;;
esac
candidates=("$venv/bin/python")
[[ -x ${candidates[0]} ]] ||
    candidates=(python3 python3.1{1,0,2,3} python3.9 python3.8)
stack='' found=''
for python in "${candidates[@]}"; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' \
        2>/dev/null) || continue
    case ${SR4IR_STACK:-any}-$version in
        any-3.1[0-2] | torch2.11-3.1[0-2]) stack=torch2.11 && break ;;
        any-3.[89] | torch2.1-3.[89] | torch2.1-3.1[01])
            stack=torch2.1 && break ;;
        onedl-3.1[0-3]) stack=onedl && break ;;
    esac
    found+=" ($python is $version)"
done
[[ $stack ]] || fail "sr4ir_mm needs $needs$found: install it, or activate an" \
    "environment that has it."
device=cpu torch_for=cpu
! nvidia-smi -L &>/dev/null || torch_for=cuda
if [[ ${SR4IR_CPU:-0} == 1 ]]; then
    export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=  # mmcv's setup.py reads both
elif [[ ${FORCE_CUDA:-0} == 1 || $torch_for == cuda ]]; then
    device=cuda torch_for=cuda
fi

# ---- anything to do? --------------------------------------------------------
constraints=requirements/constraints/$stack.txt
fork= others=270  # before the names of the toolboxes; MB beside torch
[[ $stack != onedl ]] || fork=onedl- others=420
state="$stack $version $device $torch_for $PWD $(cat requirements.txt \
    requirements/*.txt "$constraints" setup.py pyproject.toml \
    tools/install.sh | cksum)"
if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "$state" ]]; then
    echo "$venv/bin/python" >&3
    exit
fi

# ---- helpers ----------------------------------------------------------------
pin() { grep -oE "^$1==[^ ;]+" "$constraints"; }

run_pip() {  # shows large downloads and compiled files, logs the rest
    "$python" -m pip "$@" 2>&1 | tee "$log" | sed -unE \
        -e 's/^ *Downloading (.*\([0-9]{2,}\.[0-9] MB\)).*/    \1/p' \
        -e 's/^ *\[([0-9]*0\/[0-9]+)\].*/    compiled \1/p' && return
    ! grep -qE 'NewConnection|ConnectTimeout|ProxyError|NameResolution' "$log" ||
        fail_for_now "pip cannot reach the package index: check the network (and" \
            "PIP_INDEX_URL, HTTPS_PROXY), then run this again."
    ! grep -qE 'No space left on device|Disk quota exceeded' "$log" ||
        fail_for_now "the disk is full: an environment takes up to 7 GB, in" \
            "$venv, and what pip downloads up to 3, in ${TMPDIR:-/tmp} meanwhile," \
            "and in its cache: make room (or set TMPDIR, and" \
            "PIP_NO_CACHE_DIR=1), then run this again."
    tail -n 20 "$log"
    fail "'pip $1' failed, for the reason above."
}

choose_torch() {  # sets `torch`, for pip, and says how much it will download
    local cpu_index=https://download.pytorch.org/whl/cpu index has found
    local cpu="$(pin torch)+cpu" what="$(pin torch) with CUDA (about 2,700 MB)"
    torch=("$(pin torch)" "$(pin torchvision)")
    has=$("$python" -m pip list --format freeze 2>"$log" | grep '^torch==' || :)
    if [[ $has == *+cpu && $torch_for == cuda ]]; then
        run_pip uninstall -y torch torchvision  # which pip would keep
    elif [[ ${has%+*} == "${torch[0]}" ]]; then
        torch=() what="no torch, since $has is there"
    elif [[ $torch_for == cpu ]]; then
        what+=", since nobody at hand has it without"
        for index in '' $cpu_index; do
            found=$("$python" -m pip index versions torch --retries 0 \
                --timeout 10 ${index:+--index-url $index} 2>"$log" || :)
            [[ $found == *" ${cpu#*==}"* ]] || continue
            torch=("$cpu" "$(pin torchvision)+cpu")
            [[ ! $index ]] || torch+=(--extra-index-url "$index")
            what="$cpu (about 190 MB)"
            break
        done
    fi
    say "to download, unless pip has it already: $what, and about 100 other" \
        "packages ($others MB)"
}

ops_work() {  # mmcv is the pinned one, and its operators run on the device
    "$python" -W ignore - "$(pin ${fork}mmcv)" "$device" &>"$log" <<'PYTHON'
import sys
import mmcv
import torch
from mmcv.ops import get_compiling_cuda_version, nms
pin, device = sys.argv[1:]
assert pin.endswith(f'mmcv=={mmcv.__version__}'), mmcv.__version__
assert device == 'cpu' or get_compiling_cuda_version() != 'not available'
device = device if torch.cuda.is_available() else 'cpu'
nms(torch.tensor([[0., 0., 1., 1.]]).to(device), torch.ones(1).to(device), .5)
PYTHON
}

check_cuda() {  # nvcc must be of the CUDA version of the torch wheel: $1
    local nvcc=${CUDA_HOME:+$CUDA_HOME/bin/}nvcc has ways
    ways="or take SR4IR_CPU=1, without detectors on the GPU."
    [[ $stack == torch2.1 ]] || ways="or take SR4IR_STACK=torch2.1 (Python\
 3.8-3.11), which has prebuilt CUDA operators, $ways"
    [[ ${FORCE_CUDA:-0} == 1 ]] || env -u CUDA_VISIBLE_DEVICES "$python" -c \
        'import torch; assert torch.cuda.is_available()' &>/dev/null ||
        fail "the NVIDIA driver is too old for CUDA $1, which $(pin torch)" \
            "needs: update it, $ways"
    command -v "$nvcc" >/dev/null || nvcc=/usr/local/cuda/bin/nvcc
    has=$("$nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9]+).*/\1/p')
    [[ $has == "${1%%.*}" ]] || fail "mmcv's CUDA operators need nvcc" \
        "${1%%.*}.x (found: ${has:-none}): install that CUDA toolkit and set" \
        "CUDA_HOME, $ways"
    export FORCE_CUDA=1
}

install_mmcv() {
    local kind=cpu cuda='' cache place places headers
    if [[ $device == cuda ]]; then
        cuda=$("$python" -c 'import torch; print(torch.version.cuda)')
        kind=cuda$cuda-${TORCH_CUDA_ARCH_LIST:-$(nvidia-smi \
            --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
            sort -u || echo all)}
    fi
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/sr4ir_mm/wheels
    cache+=/$stack-cp${version/./}-${kind//[^a-z0-9.-]/_}
    places=("$cache")
    case $stack-$device in  # wheels that others built, where there are some
        torch2.11-cpu) places+=(../shared/wheels) ;;
        torch2.1-cuda) places+=("https://download.openmmlab.com/mmcv/dist/cu${cuda/./}/torch2.1.0/index.html") ;;
    esac
    for place in "${places[@]}"; do
        [[ -d $place || $place == https:* ]] || continue
        "$python" -m pip install --no-index --no-deps --force-reinstall \
            --retries 1 --timeout 20 --find-links "$place" "$(pin ${fork}mmcv)" \
            &>"$log" && ops_work || continue
        say "mmcv's operators: from $place"
        return
    done
    [[ $device == cpu ]] || check_cuda "$cuda"
    headers=$("$python" -c 'import sysconfig as s; print(s.get_path("include"))')
    command -v "${CXX:-g++}" >/dev/null && [[ -f $headers/Python.h ]] ||
        fail "mmcv's operators must be compiled, and there is no C++ compiler" \
            "or no Python.h: install them (on Debian or Ubuntu," \
            "build-essential and python$version-dev)."
    say "compiling mmcv's operators, once: this takes several minutes"
    mkdir -p "$cache"
    if [[ $fork ]]; then  # torch needs C++20, mmcv asks for 17
        printf '#!/bin/sh\nexec %s "$@" -std=c++20\n' "${CXX:-g++}" >"$cache/cxx"
        chmod +x "$cache/cxx"
        export CXX=$cache/cxx NVCC_APPEND_FLAGS="-std=c++20"
    fi
    # In place of Python's own flags, from setuptools 75.8 on: so the first two
    # are said here. -g0: debug symbols make the wheel 20 times larger.
    PATH=$venv/bin:$PATH MMCV_WITH_OPS=1 \
        CFLAGS="-O2 -DNDEBUG ${CFLAGS:-} -g0" \
        MAX_JOBS=${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)} \
        run_pip wheel -v --no-build-isolation --no-deps --no-cache-dir \
        --no-binary ${fork}mmcv --wheel-dir "$cache" "$(pin ${fork}mmcv)"
    run_pip install --no-index --no-deps --force-reinstall \
        --find-links "$cache" "$(pin ${fork}mmcv)"
    ops_work || { tail -n 5 "$log"; fail "the compiled mmcv does not work."; }
}

# ---- install ----------------------------------------------------------------
say "stack $stack, Python $version, $device operators, in $venv"
if [[ ! -x $venv/bin/python ]] && ! "$python" -m venv "$venv" &>"$log"; then
    rm -rf "$venv"  # half made, it would be taken for a good one
    fail "'$python -m venv' does not work here: install it (on Debian or" \
        "Ubuntu, python$version-venv), make room if the disk is full, or" \
        "activate an environment."
fi
python=$venv/bin/python
echo "$stack" >"$stamp"  # and no more, until all is there
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip --version &>/dev/null || "$python" -m ensurepip &>"$log"

choose_torch
say "installing torch"
run_pip install -c "$constraints" -r requirements/build.txt \
    -r requirements/runtime.txt "$(pin ${fork}mmengine)" "$(pin opencv-python)" \
    "${torch[@]}"  # with what mmcv imports
ops_work || install_mmcv
say "installing the toolboxes"
run_pip install -c "$constraints" -r requirements.txt \
    -r "requirements/${fork}mminstall.txt"
# Optional: networks other than EDSR and SwinIR, and tests that compare with it.
run_pip install --no-deps "$(pin mmagic)"  # why: mminstall.txt
run_pip install --no-deps --no-build-isolation -e .

say "checking that everything imports"
"$python" -W ignore -c 'import sr4ir_mm, torch, mmcv.ops, mmseg, mmdet, \
mmpretrain, mmagic.models' &>"$log" || {
    tail -n 5 "$log"
    fail "the packages are installed but do not import, for the reason above."
}
echo "$state" >"$stamp"
say "done"
echo "$python" >&3
