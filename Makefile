# Everything runs in .venv/, made on the first call and again when the dependencies change.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Nothing that make starts may reach a real AWS account.
$(foreach name,$(filter AWS_%,$(.VARIABLES)),$(eval unexport $(name)))
export CHAOS_TARGET := lab

# Python keeps what it compiled: else each of hundreds of processes compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: gameday test thorough soak browser pictures bench deploy-check site release lowest newest wheels sizes lint docs policies clean

gameday: $(READY)  ## disable the key of the lab's cluster under load, and measure
	umask 077; $(BIN)/chaos --no-version-check run --journal-path reports/journal.json experiments/kms-disable.json

# A real server on a busy machine is late now and then: three tests may take a second attempt, which is shown.
SECOND_ATTEMPTS := --reruns 1 --max-suite-reruns 3 --rerun-show-tracebacks

# numpy has a thread for each processor, which is busy for as long as half of its import.
test thorough: export OPENBLAS_NUM_THREADS := 1

# What $(1) says of the tests and experiments that take no minutes each; each run is judged again.
SUITE = rm -rf reports/$@; CHAOS_LOAD_RATE=100 CHAOS_STATUS_POLL_EVERY=0.8 $(BIN)/python -m pytest \
	  -m "$(1) and not alone and not soak and not browser and not deploy" \
	  --chaos-lab-speed 300 --chaos-reports reports/$@ $(SECOND_ATTEMPTS) \
	  --ignore tests/soak --ignore tests/browser --ignore tests/deploy tests experiments \
	  && $(BIN)/python -m tests.support.judge_again reports/$@

test: $(READY) lint  ## every promise, and seven of the experiments on the lab
	$(call SUITE,not thorough)
	$(BIN)/python -m pytest -m "alone and not soak" -n 0 $(SECOND_ATTEMPTS) \
	  $$(grep -rl --include='*.py' '^@pytest.mark.alone' tests)

thorough: $(READY)  ## the rest of them: variations, the lab in depth, the other experiments
	$(call SUITE,thorough)

soak: $(READY)  ## what takes minutes: kills at random moments
	$(BIN)/python -m pytest -m soak
	TESTS_ALL_EXAMPLES=yes $(BIN)/python -m pytest -m "hypothesis and not soak" tests/unit tests/lab

browser: $(READY)  ## what a browser makes of the pages: needs chromium (Debian: apt install chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest -m browser -n 0 tests/browser

pictures: $(READY) gameday  ## docs/pictures: the page of a run (needs chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python docs/pictures.py reports/latest/report.html

bench: $(READY)  ## this suite beside what people use today: docs/benchmark.md
	$(BIN)/python -m bench

deploy-check: $(READY)  ## deploy/: each file held against its format, and its commands run on the lab; the site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[deploy]'
	$(BIN)/python -m pytest -m deploy -n 2 tests/deploy

site: $(READY)  ## build/site: the pages of docs/ as a site, every link looked up
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[deploy]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release: $(READY)  ## dist/: wheel and source, each installed from nothing and tried; SBOM, checksums
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[release]'
	$(BIN)/python tools/release.py

lowest newest: $(READY)  ## the lowest and the newest versions of what is needed: installed from nothing, and tried
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[release]'
	$(BIN)/python tools/versions.py $@

wheels: $(READY)  ## which pinned version has no wheel for macOS
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[release]'
	$(BIN)/python tools/wheels.py

sizes: $(READY)  ## what each part of an installation takes: docs/systems.md
	$(BIN)/python tools/sizes.py

lint: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo

docs: $(READY)  ## the pages of docs/ that are made from the code and from the tests
	$(BIN)/python -m tests.support.document
	$(BIN)/python docs/generate.py

policies: $(READY)  ## policies/*.json, from the table in the code
	for name in probe run watch make secondary canary switch switch-trust; do \
	  CHAOS_CLUSTER_ID= CHAOS_KEY_ID= CHAOS_SWITCH_ROLE= CHAOS_DATABASE_SECRET= \
	  $(BIN)/chaos kms policy $$name > policies/$$name.json || exit 1; done

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: $$($(PYTHON) --version) is $(PYTHON); try make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[lab,test]'
	@touch $@

clean:
	rm -rf $(VENV)
