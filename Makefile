# Every target sets up .venv first, with what it needs, and again whenever pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin
STORY := .venv/.base
LAB := .venv/.lab
READY := .venv/.dev
NEEDS_base := the library
NEEDS_lab := the library and JupyterLab
NEEDS_dev := the library, JupyterLab, the tests and the site
SOAK := tests/project/test_lessons.py tests/project/test_site.py tests/browser/test_axe_in_lab.py tests/hostile tests/project/test_package.py tests/project/test_binder.py tests  # in this order
SOURCES := entropic_edu tests benchmarks docs setup.py lessons/src lessons/build.py lessons/anatomy.py

.PHONY: story test soak lab site lessons bench mutants check audit clean

story: $(STORY)  ## the whole experiment on digits: a table, story.png, story.json
	$(BIN)/entropic-edu story

test: $(READY)  ## everything, lessons and README included; CIFAR-10 is read from $ENTROPIC_EDU_DATA where that is set
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

soak: $(READY)  ## what takes too long for every change: each lesson in 2 GB, hundreds of random control sequences, and the like
	ENTROPIC_EDU_SOAK=1 $(BIN)/python -m pytest -m soak -n 2 $(SOAK)

lab: $(LAB)  ## the lessons in JupyterLab
	$(BIN)/jupyter lab workspaces import --name entropic-edu lessons/workspace.json
	$(BIN)/jupyter lab --notebook-dir lessons --LabApp.default_url=/lab/workspaces/entropic-edu/tree/00_start.ipynb

site: $(READY)  ## docs and lessons as pages: build/site/index.html
	$(BIN)/sphinx-build -W --keep-going -b html docs build/site

lessons: $(READY)  ## lessons/src/*.py -> executed lessons/*.ipynb
	$(BIN)/python lessons/build.py

bench: $(READY)  ## one table of speed and memory beside plain code and peers, those that can be had
	-$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python -m benchmarks

mutants: $(READY)  ## breaks the code 300 times, one change at a time, and says what no test of that module notices
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[mutants]"
	$(BIN)/python -m benchmarks.mutants --count 300

check: $(READY)  ## style, types, and what may import what
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(READY)  ## asks a public list of advisories about what is installed; needs a network
	$(BIN)/python -m pip install -q pip-audit
	$(BIN)/pip-audit --skip-editable

clean:  ## removes .venv and all caches; keeps results
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache lessons/.ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing $(NEEDS_$*) into .venv: minutes the first time, PyTorch most of it."
	@echo "  The log is .venv/install.log; 'make clean' takes all of it away again."
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".$(if $(filter base,$*),,[$*])" >.venv/install.log 2>&1 \
	  || { tail -n 12 .venv/install.log; echo "The installation failed: above is the end of .venv/install.log. The same command tries again."; exit 1; }
	@touch $(STORY) $(if $(filter base,$*),,$(LAB)) $@
