# Waypost. `make run` and `make demo` need Go alone; `make test` also gcc, for the race detector.
export CGO_ENABLED ?= 0
GO ?= go
DATA ?= ./data
BIN := waypost
# Without the tables for a debugger: 13 MB less to carry. What a crash says stays the same.
BUILD := $(GO) build -trimpath -ldflags '-s -w'
PKGS := ./...

.PHONY: sim sim-short bench-sim bench-air bench-mesh build run demo test vet unit race scripts nemesis nemesis-short fuzz browser payloads tools arm64 torture torture-short bench bench-program bench-doors bench-journal clean

build:
	$(BUILD) -o $(BIN) ./appliance

# An empty data folder is made and answered by the first page; later starts ask for the five words.
run: build
	./$(BIN) serve --data $(DATA)

demo: build
	./$(BIN) demo

arm64:
	GOARCH=arm64 $(BUILD) -o $(BIN)-arm64 ./appliance

test: tools vet unit race scripts nemesis-short browser torture-short sim-short

vet:
	$(GO) vet $(PKGS)
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$bad" || { echo "run gofmt -w on:"; echo "$$bad"; exit 1; }

unit:
	$(GO) test -timeout 10m $(PKGS)

# The packages where goroutines meet. The mesh keeps real deadlines and has the machine to itself. In memory where there
# is room for that: races are about goroutines, and `make unit` has the same tests on the disk. The torture of the
# journal is run so by `make torture`.
MEMORY = $(shell test "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt 3000000 2>/dev/null && echo /dev/shm)
RACE = CGO_ENABLED=1 TMPDIR=$${TMPDIR:-$(MEMORY)} GOTMPDIR=$${TMPDIR:-/tmp} $(GO) test -race -short -timeout 15m
race: tools
	$(RACE) -p 2 ./appliance/oplog ./appliance/oplog/oplogtest ./appliance/identity ./appliance/staff ./appliance/sealed ./appliance/letterbox ./appliance/registration ./appliance/chunks ./appliance/tokens ./appliance/control ./ui
	$(RACE) ./mesh

# Of the attacks of a hostile neighbour `make test` tries the dearest; `make nemesis` all.
HOSTILE ?= suspended|revoked|foreign|60 silent|20 MB|theft|flipped in records|no answer
# Days at a camp, told with the real binary on real ports; as root also in network namespaces and on a full disk.
scripts: tools
	WAYPOST_SCRIPTS=1 WAYPOST_HOSTILE="$(HOSTILE)" $(GO) test -timeout 20m -count=1 -run 'TestScripts|TestCanaries|TestDoors|TestHostileNeighbour' ./appliance

# Journeys in real Chromium against the real binary, at phone size; as root also from another host.
browser: tools
	WAYPOST_BROWSER=1 $(GO) test -timeout 10m -count=1 ./ui/browser

# Every payload in every text of every page; `make unit` tries two in each.
payloads:
	WAYPOST_PAYLOADS=all $(GO) test -timeout 30m -count=1 -v -run 'TestNothingOnAnyPageEverRuns|TestNothingTypedEverRuns|TestHarmIsSeen' ./ui

# What the journal promises, proven by harming it: the table is in appliance/oplog/torture/doc.go.
# The short form draws from the commit, so that every commit tries something else; a failure
# prints the line that repeats it. The full one takes hours: SEED=n begins elsewhere.
TORTURE := $(GO) test -count=1 -v ./appliance/oplog/torture
torture-short: tools
	WAYPOST_TORTURE=ci WAYPOST_TORTURE_SEED=$${WAYPOST_TORTURE_SEED:-$$(git rev-parse HEAD 2>/dev/null)} $(TORTURE) -timeout 10m

# Camps of real nodes on a made-up network and clock (mesh/meshtest): cuts, crashes, copies, liars, revocations. The
# short form plays 300 of 5 to 50 nodes, the full one 10,000 of up to 300 and takes hours. A failure prints its seed.
SIM := $(GO) test -count=1 -timeout 24h -run TestCamps ./mesh/meshtest
SIM_FROM ?= 1
sim-short:
	@mkdir -p build
	@$(GO) test -c -o build/sim.test ./mesh/meshtest
	@cd mesh/meshtest && \
	WAYPOST_SIM_FROM=$(SIM_FROM) WAYPOST_SIM_STEP=2 WAYPOST_SIM_SEEDS=300 ../../build/sim.test -test.run TestCamps -test.timeout 20m -test.v >../../build/sim.1 2>&1 & one=$$!; \
	cd mesh/meshtest && WAYPOST_SIM_FROM=$$(($(SIM_FROM)+1)) WAYPOST_SIM_STEP=2 WAYPOST_SIM_SEEDS=299 ../../build/sim.test -test.run TestCamps -test.timeout 20m -test.v >../../build/sim.2 2>&1; two=$$?; \
	wait $$one; one=$$?; cd ../..; grep -h -A80 -e '^ *--- FAIL' -e panic build/sim.1 build/sim.2; grep -h 'camps from' build/sim.1 build/sim.2; exit $$((one+two))

# The figures that need fifty nodes, on the same made-up network: idle, a live write, healed cuts. ONLY=heal is one of them.
bench-sim:
	WAYPOST_FIGURES_MESH=1 $(GO) test -count=1 -v -timeout 120m -run 'TestMeshFigures/$(ONLY)' ./mesh/meshtest

# What real nodes say while nothing happens, whole packets as they leave their networks, under both profiles, and how
# soon all show what one wrote, without and with lost packets (root, iproute2, nftables; 64 MiB of heap each).
AIR ?= 50
bench-air: tools
	WAYPOST_FIGURES_AIR=$(AIR) $(GO) test -count=1 -v -timeout 90m -run 'TestAirFigures$$' ./appliance

sim:
	WAYPOST_SIM_FROM=$(SEED) WAYPOST_SIM_SEEDS=10000 WAYPOST_SIM_MOST=300 nice $(SIM) -v

SEED ?= 1
torture: tools
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./appliance/oplog/torture
	WAYPOST_TORTURE=full WAYPOST_TORTURE_SEED=$(SEED) nice $(TORTURE) -timeout 12h
	WAYPOST_SCRIPTS=1 $(GO) test -timeout 10m -count=1 -v -run TestCanaries ./appliance

# Eight real nodes in networks of their own (root, iproute2, nftables; else it says that it was skipped): killed,
# stopped, locked, cut off, parted, moved, slowed and starved of packets by a plan drawn from SEED, for MINUTES, while
# people are registered at all of them. The short form draws from the commit. A failure prints seed, plan and logs.
NEMESIS := $(GO) test -count=1 -v ./appliance
MINUTES ?= 10
nemesis: tools
	WAYPOST_NEMESIS=$(MINUTES)m WAYPOST_NEMESIS_SEED=$(SEED) $(NEMESIS) -timeout $$(($(MINUTES) + 20))m -run 'TestNemesis$$'
	WAYPOST_SCRIPTS=1 $(NEMESIS) -timeout 10m -run TestHostileNeighbour

nemesis-short: tools
	WAYPOST_NEMESIS=60s WAYPOST_NEMESIS_SEED=$${WAYPOST_NEMESIS_SEED:-$$(git rev-parse HEAD 2>/dev/null)} $(NEMESIS) -timeout 10m -run 'TestNemesis$$'

# Every decoder of bytes from the air, a stick or a form, each for FUZZTIME; a part of them with PKGS=./mesh. What is found
# lies in testdata/fuzz, and `make unit` runs it from then on.
FUZZTIME ?= 30s
fuzz:
	@for dir in $$($(GO) list -f '{{.Dir}}' $(PKGS)); do cd $$dir; for t in $$(cat *_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(f .*/\1/p'); do \
	echo "$$t in $$dir"; $(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s . || exit 1; done; done

# What the tests use beside Go, as command:packages of Debian.
TOOLS := chromium:chromium,fonts-noto-core certutil:libnss3-tools ip:iproute2 nft:nftables gcc:gcc,libc6-dev
tools:
	@PATH=$$PATH:/usr/sbin; want=""; for t in $(TOOLS); do command -v $${t%%:*} >/dev/null || want="$$want $$(echo $${t#*:} | tr , ' ')"; done; \
	test -z "$$want" || { echo "installing for the tests:$$want"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$want >/dev/null; } || \
	{ echo "the tests need more than there is: as root run 'apt-get install -y$$want', then 'make test' again"; exit 1; }

# The figures of the whole program as a table, then those of the journal with a million ops (some minutes; OPS=100000
# is quicker), then the benchmarks of the packages.
bench: bench-program bench-journal
	$(GO) test -run '^$$' -bench . -benchtime 2s ./appliance/oplog ./appliance/registration ./appliance/chunks ./appliance/tokens ./mesh

OPS ?= 1000000
bench-journal:
	WAYPOST_FIGURES_OPS=$(OPS) $(GO) test -timeout 60m -count=1 -v -run TestJournalFigures ./appliance

# Those of staff, doors and sealed files alone: a narrow save, sealing, every attack on the box. What opens nothing is
# counted by TestDoors (make scripts) and TestNothingOnAnyPageEverRuns (make unit), which fail when it is not 0.
bench-doors:
	WAYPOST_FIGURES=doors $(GO) test -timeout 15m -count=1 -v -run TestFigures ./appliance

bench-program:
	WAYPOST_FIGURES=1 $(GO) test -timeout 15m -count=1 -v -run TestFigures ./appliance

# An empty node that joins one with 100,000 people, beside PostgreSQL, PouchDB and hypercore with the same records
# in the same run. They are installed for that under the system's folder for temporary files (npm, apt-get); what
# cannot be is named in the table. OPS=1000000 makes as many people as give that many facts.
# Three nodes are filled: as fast as it goes (rates), under the memory limit of a 1 GB board (memory), and while
# somebody works there (what they wait).
bench-mesh:
	$(if $(filter command line,$(origin OPS)),WAYPOST_FIGURES_MESH_OPS=$(OPS),WAYPOST_FIGURES_MESH=$(PEOPLE)) $(GO) test -timeout 90m -count=1 -v -run TestMeshFigures ./appliance
PEOPLE ?= 100000

clean:
	rm -rf $(BIN) $(BIN)-arm64 build
