# Every target sets up what it needs; nothing is installed outside this folder's .venv* environments.
PYTHON ?= python3
CORE = .venv/bin/python
export SFV_BLENDER ?= $(CURDIR)/.venv-bpy/bin/python

.PHONY: demo test test-gui lint package bench examples environments

demo:      ## A clip becomes a motion, a policy and keyframes on a rig: out/demo/
	$(PYTHON) tools/environments.py core bpy-4.5
	$(CORE) -m sfv_core demo -o out/demo

test:      ## All tests: the packages, the built extension in three Blenders
	$(PYTHON) tools/environments.py core bpy-4.2 bpy-4.5 bpy-5.0
	$(CORE) tools/run_tests.py

test-gui:  ## The panel in a real Blender under Xvfb: SFV_BLENDER_GUI=/path/to/blender
	$(PYTHON) tools/environments.py core bpy-4.5
	$(CORE) -m pytest tests/gui -m gui

lint:      ## ruff, pyright, import rules
	$(PYTHON) tools/environments.py core
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/pyright

package:   ## The extension for Blender: dist/sfv-<version>.zip
	$(PYTHON) tools/environments.py core bpy-4.5
	$(CORE) tools/package.py

bench:     ## Every figure that the project claims
	$(PYTHON) tools/environments.py core bpy-4.5
	$(CORE) -m benchmarks.capture
	$(CORE) -m benchmarks.extremities
	$(CORE) -m benchmarks.refine
	$(CORE) -m benchmarks.physics
	$(CORE) -m benchmarks.first_aid
	$(CORE) -m benchmarks.preview
	$(CORE) -m benchmarks.retarget

examples:  ## Render the example clips anew
	$(PYTHON) tools/environments.py core bpy-4.5
	$(CORE) tools/render_examples.py walk spinkick backflip cartwheel dance_a -o examples --looks 0 1
	$(CORE) tools/render_examples.py crossing -o examples
	$(CORE) tools/render_head.py -o examples --samples 2
