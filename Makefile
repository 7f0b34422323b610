# Images, tests, lint. `make help` lists the targets; docs/containers.md explains them.
ENGINE ?= $(shell command -v docker >/dev/null 2>&1 && echo docker || echo podman)
PYTHON ?= python3
RUN := $(PYTHON) bootstrap.py
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
WHEELS ?= containers/wheels
TOOLS := fastsurfer fondue synthmorph
# More arguments for the build, e.g. BUILD_ARGS="--build-arg BASE=python:3.12-slim"
BUILD_ARGS ?=
# The host's network while building, so that its mirrors and proxies are reached.
BUILD = DOCKER_BUILDKIT=1 $(ENGINE) build --network host \
	--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(BUILD_ARGS)

.PHONY: help images tools wheels sif test lint faults FORCE

help:
	@echo "make images    roundoff, roundoff-verrou      (ENGINE=docker or podman)"
	@echo "make tools     $(TOOLS), each with Verrou"
	@echo "make wheels    fetch all packages with this machine's pip, for a build offline"
	@echo "make sif       containers/roundoff/roundoff.sif, for Apptainer"
	@echo "make test      the tests        make lint    style        make faults   faults"

images: roundoff roundoff-verrou

tools: $(TOOLS)

roundoff: FORCE
	$(BUILD) -t roundoff:$(VERSION) -f containers/roundoff/Dockerfile .

roundoff-verrou: FORCE
	$(BUILD) --build-arg ROUNDOFF=roundoff:$(VERSION) \
		-t roundoff-verrou:$(VERSION) -f containers/roundoff-verrou/Dockerfile .

$(TOOLS): FORCE
	$(BUILD) --build-arg VERROU=roundoff-verrou:$(VERSION) \
		-t roundoff-$@:$(VERSION) -f containers/$@/Dockerfile .

# Checked against the hashes here; the build then takes what it finds and asks nobody.
wheels:
	mkdir -p $(WHEELS)
	$(PYTHON) -m pip wheel --quiet --no-deps --require-hashes -r requirements.txt \
		--wheel-dir $(WHEELS)
	$(PYTHON) -m pip wheel --quiet --no-deps -r requirements-torch.txt \
		--wheel-dir $(WHEELS)

# An archive instead of the engine's socket: works with Podman and without root.
sif: containers/roundoff/roundoff.sif

%.sif: FORCE
	$(ENGINE) save -o $*.tar $(notdir $*):$(VERSION)
	apptainer build --force $@ docker-archive:$*.tar
	rm -f $*.tar

test:
	$(RUN) pytest -n 2

lint:
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) snakemake --lint

faults:
	$(RUN) pytest -m '' tests/faults --write-faults

FORCE:
