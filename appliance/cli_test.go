package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/ui/locale"
)

// cli runs one command line in this process.
func cli(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(stdin), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// plain takes away what the environment of the person who runs the tests says to
// Waypost, and lets it speak English.
func plain(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "WAYPOST_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("LC_ALL", "C")
}

func TestExitCodes(t *testing.T) {
	plain(t)
	t.Chdir(t.TempDir())
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("five plain words for tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		line string
		code int
		says string // on stderr
	}{
		{"", exitDone, ""},
		{"help", exitDone, ""},
		{"help staff add", exitDone, ""},
		{"serve --help", exitDone, ""},
		{"version", exitDone, ""},
		{"version --json", exitDone, ""},
		{"completion bash", exitDone, ""},
		{"fly", exitUsage, "waypost: There is no verb fly."},
		{"serv", exitUsage, "did you mean serve?"},
		{"help fly", exitUsage, "There is no verb fly."},
		{"staff", exitUsage, "waypost staff needs one more word."},
		{"staff fire", exitUsage, "There is no verb fire."},
		{"token", exitUsage, "needs one more word"},
		{"completion tcsh", exitUsage, "There are no completions for tcsh."},
		{"completion", exitUsage, "The argument SHELL is missing."},
		{"status --fast", exitUsage, "There is no flag --fast here."},
		{"status -x", exitUsage, "There is no flag -x here."},
		{"status now", exitUsage, "The argument now is one too many."},
		{"status --data", exitUsage, "The flag --data needs a value."},
		{"version --json=maybe", exitUsage, "The flag --json does not take maybe."},
		{"invite --ttl soon", exitUsage, "The flag --ttl does not take soon."},
		{"invite --ttl -5m", exitUsage, "--ttl needs a time of at least one second"},
		{"apikey --role lead --ttl 1ms", exitUsage, "--ttl needs a time of at least one second"},
		{"apikey", exitUsage, "The flag --role is missing; the variable WAYPOST_ROLE may hold it too."},
		{"init --site X --lead Y --passphrase-file " + secret, exitUsage, "The flag --deployment is missing"},
		{"join --site X --lead Y --passphrase-file " + secret, exitUsage, "The argument CODE is missing."},
		{"join --site X --lead Y --passphrase-file - -", exitUsage, "CODE and --passphrase-file cannot both come from stdin."},
		{"confirm", exitUsage, "The argument NODE is missing."},
		{"import", exitUsage, "The argument FILE is missing."},
		{"token verify", exitUsage, "The argument TEXT is missing."},
		{"token read", exitUsage, "The argument IMAGE is missing."},
		{"serve --log xml", exitUsage, "The flag --log does not take xml."},
		{"status", exitRefused, "waypost: No node is running on the folder ./data.\nhint: Start it with `waypost serve --data ./data`"},
		{"unlock --passphrase-file " + secret, exitRefused, "No node is running"},
		{"unlock --passphrase-file none", exitRefused, "none cannot be read."},
		{"unlock", exitUsage, "The flag --passphrase-file is missing"},
		{"unlock --key-file none", exitRefused, "none cannot be read."},
		{"unlock --key-file " + secret, exitRefused, "This is not a key file"},
		{"lock", exitRefused, "No node is running"},
		{"slots", exitUsage, "waypost slots needs one more word."},
		{"slots list", exitRefused, "Nothing was started in the folder ./data yet."},
		{"slots add-stick", exitUsage, "The flag --out is missing"},
		{"slots remove", exitUsage, "The argument KIND is missing."},
		{"slots remove stick", exitRefused, "Nothing was started in the folder ./data yet."},
		{"wipe", exitRefused, "Nothing was started in the folder ./data yet."},
		{"wipe --yes", exitRefused, "Nothing was started in the folder ./data yet."},
		{"invite", exitRefused, "No node is running"},
		{"confirm abc", exitRefused, "No node is running"},
		{"apikey --role lead", exitRefused, "No node is running"},
		{"staff list", exitRefused, "No node is running"},
		{"check", exitRefused, "Nothing was started in the folder ./data yet."},
		{"tui", exitRefused, "The dashboard needs a terminal."},
		{"token verify WP1:XYZ", exitRefused, "No node is running"},
		{"token verify WP1:XYZ --root none", exitRefused, "none cannot be read."},
		{"token expand WP1:XYZ", exitRefused, "This is not a card code"},
		{"token read none.png", exitRefused, "none.png cannot be read."},
		{"import none.csv", exitRefused, "none.csv cannot be read."},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			code, out, errs := cli(t, "", strings.Fields(tt.line)...)
			if code != tt.code || !strings.Contains(errs, tt.says) {
				t.Fatalf("exit %d, stderr %q, stdout %q", code, errs, out)
			}
			if (code == exitDone) != (errs == "") {
				t.Fatalf("exit %d with %q on stderr", code, errs)
			}
			if code == exitDone {
				return
			}
			if out != "" {
				t.Fatalf("a failure printed %q on stdout", out)
			}
			lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
			if len(lines) > 2 || !strings.HasPrefix(lines[0], "waypost: ") || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") {
				t.Fatalf("not one line and a hint: %q", errs)
			}
		})
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Fatalf("something was left behind: %v %v", entries, err)
	}
}

func TestFlagsStandAnywhere(t *testing.T) {
	plain(t)
	t.Chdir(t.TempDir())
	for _, line := range []string{"--data D status", "status --data D", "status --data=D", "token --data D verify X", "token verify X --data D", "token verify --data D X"} {
		if code, _, errs := cli(t, "", strings.Fields(line)...); code != exitRefused || !strings.Contains(errs, "on the folder D.") {
			t.Errorf("%s: %d %q", line, code, errs)
		}
	}
}

func TestEnvironmentStandsInForFlags(t *testing.T) {
	plain(t)
	t.Chdir(t.TempDir())
	t.Setenv("WAYPOST_DATA", "E")
	if _, _, errs := cli(t, "", "status"); !strings.Contains(errs, "on the folder E.") {
		t.Errorf("from the environment: %q", errs)
	}
	if _, _, errs := cli(t, "", "status", "--data", "D"); !strings.Contains(errs, "on the folder D.") {
		t.Errorf("the flag wins: %q", errs)
	}
	t.Setenv("WAYPOST_JSON", "1")
	if code, out, _ := cli(t, "", "version"); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("a switch: %q", out)
	}
	t.Setenv("WAYPOST_TTL", "soon")
	if code, _, errs := cli(t, "", "invite"); code != exitUsage || !strings.Contains(errs, "The variable WAYPOST_TTL does not take soon.") {
		t.Errorf("a bad value: %d %q", code, errs)
	}
	t.Setenv("WAYPOST_TTL", "")
	t.Setenv("WAYPOST_ROLE", "lead")
	if code, _, errs := cli(t, "", "apikey"); code != exitRefused {
		t.Errorf("a needed flag: %d %q", code, errs)
	}
}

func TestHelpSpeaksThePersonsLanguage(t *testing.T) {
	plain(t)
	for lang, want := range map[string]string{"C": "usage:", "en_US.UTF-8": "usage:", "es_GT.UTF-8": "uso:", "fr_FR@euro": "usage:", "ar": "الاستعمال:", "xx": "usage:"} {
		t.Setenv("LC_ALL", lang)
		code, out, errs := cli(t, "", "help", "join")
		if code != 0 || !strings.Contains(out, want) || !strings.Contains(out, "join CODE") || !strings.Contains(out, "WAYPOST_PASSPHRASE_FILE") {
			t.Errorf("%s: %d %q %q", lang, code, out, errs)
		}
		if strings.Contains(out, "cli.") || strings.Contains(out, "<no value>") {
			t.Errorf("%s: a text is missing:\n%s", lang, out)
		}
	}
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "fr_FR.UTF-8")
	t.Setenv("LANG", "es_ES.UTF-8")
	if _, out, _ := cli(t, "", "help"); !strings.Contains(out, "verbes:") {
		t.Errorf("LC_MESSAGES goes before LANG: %q", out)
	}
}

// Every verb and every flag has its text in every language.
func TestEveryVerbIsExplained(t *testing.T) {
	catalog := locale.New()
	for _, lang := range catalog.All() {
		for _, verb := range []string{
			"", "init", "serve", "unlock", "lock", "slots", "slots list", "slots add-stick", "slots add-words", "slots recovery", "slots remove", "webcert", "webcert status", "webcert ca", "webcert request", "webcert install", "webcert remove", "emergency", "emergency status", "emergency set", "wipe", "status", "mesh", "copies", "tui", "invite", "join", "confirm", "staff", "staff add", "staff list", "staff disable",
			"apikey", "import", "token", "token verify", "token expand", "token read", "check", "demo", "completion", "version",
		} {
			var out bytes.Buffer
			a := &app{catalog: catalog, lang: lang, out: &out, err: &out}
			root := a.root()
			root.SetArgs(append([]string{"help"}, strings.Fields(verb)...))
			err := root.Execute()
			if err != nil || strings.Contains(out.String(), "cli.") || strings.Contains(out.String(), "<no value>") || !strings.Contains(out.String(), "WAYPOST_DATA") {
				t.Errorf("%s %q: %v\n%s", lang.Tag(), verb, err, out.String())
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	plain(t)
	dir := t.TempDir()
	for content, want := range map[string]string{"one two": "one two", "one two\n": "one two", "one two\r\n": "one two", " one \n\n": " one "} {
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readSecret(path); err != nil || string(got) != want {
			t.Errorf("%q: %q %v", content, got, err)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := cli(t, "", "unlock", "--passphrase-file", empty); code != exitRefused || !strings.Contains(errs, "The passphrase file is empty.") {
		t.Errorf("%d %q", code, errs)
	}
}

// No flag may carry a secret: what is typed there stays in the shell's history.
func TestNoFlagTakesASecret(t *testing.T) {
	plain(t)
	_, out, _ := cli(t, "", "help", "staff", "add")
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.Contains(f[0], "passphrase") && f[1] != "FILE" {
			t.Errorf("%q", line)
		}
	}
}
