#!/bin/sh
# Install the pinned environment into /opt/roundoff/venv: from the folder /wheels, if it
# holds wheels, else from the package index, every file checked by its hash.
set -eu
venv=/opt/roundoff/venv
python3 -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-cache-dir "$@"; }

if ls /wheels/*.whl >/dev/null 2>&1; then
    echo "installing from the wheels beside the recipe"
    pip install --quiet --no-compile --no-index --no-deps /wheels/*.whl
else
    pip install --quiet --no-compile --require-hashes -r requirements.txt
    pip install --quiet --no-compile -r requirements-torch.txt \
        --extra-index-url "$TORCH_INDEX"
fi
"$venv/bin/python" -m pip check
# Here, on all processors; nobody can write there later.
"$venv/bin/python" -m compileall -q -j 0 "$venv/lib" || true
