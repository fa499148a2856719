# Waypost. `make run` and `make demo` need Go alone; `make test` also gcc, for the race detector.
export CGO_ENABLED ?= 0
GO ?= go
DATA ?= ./data
BIN := waypost
PKGS := ./...

.PHONY: build run demo test vet unit race scripts browser need-chromium arm64 bench clean

build:
	$(GO) build -trimpath -o $(BIN) ./appliance

# An empty data folder is made and answered by the first page; later starts ask for the five words.
run: build
	./$(BIN) serve --data $(DATA)

demo: build
	./$(BIN) demo

arm64:
	GOARCH=arm64 $(GO) build -trimpath -o $(BIN)-arm64 ./appliance

test: vet unit race scripts browser

vet:
	$(GO) vet $(PKGS)
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$bad" || { echo "run gofmt -w on:"; echo "$$bad"; exit 1; }

unit:
	$(GO) test -timeout 10m $(PKGS)

# The packages where goroutines meet; one at a time, because the mesh keeps real deadlines.
race:
	CGO_ENABLED=1 $(GO) test -race -short -p 1 -timeout 15m ./appliance/oplog/... ./appliance/identity ./appliance/staff ./appliance/registration ./appliance/tokens ./appliance/control ./mesh ./ui

# Days at a camp, told with the real binary on real ports.
scripts:
	WAYPOST_SCRIPTS=1 $(GO) test -timeout 10m -count=1 -run 'TestScripts' ./appliance

# Journeys in real Chromium against the real binary, at phone size.
browser: need-chromium
	WAYPOST_BROWSER=1 $(GO) test -timeout 10m -count=1 ./ui/browser

need-chromium:
	@command -v chromium >/dev/null || { echo "installing Chromium for the browser tests"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-core >/dev/null; } || \
	  { echo "Chromium is missing: as root run 'apt-get install -y chromium fonts-noto-core', then 'make test' again"; exit 1; }; }

# Benchmarks of the packages; figures of the whole binary are not built yet.
bench:
	$(GO) test -run '^$$' -bench . -benchtime 2s ./appliance/oplog ./appliance/registration ./appliance/tokens ./mesh

clean:
	rm -rf $(BIN) $(BIN)-arm64 build
