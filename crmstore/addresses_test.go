package crmstore

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestOpenRefusesAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"mysql://root:secret@host/db":           `kind "mysql": want redis://`,
		"localhost:6379":                        `"localhost": want redis://`,
		"/var/lib/store":                        "want redis://",
		"memory:x":                              `takes nothing behind it, found "x"`,
		"dir:":                                  "path of a directory is missing",
		"redis://u:secret@host:port":            "cannot be parsed",
		"redis://u:secret@host:1?nix=1":         "unexpected option: nix",
		"redis://u:secret@host:1/db":            "invalid database number",
		"redis+cluster://u:secret@a:1,b":        "want HOST:PORT",
		"redis+cluster://u:secret@a:1/0":        "neither path nor database",
		"redis+cluster://u:secret@a:1?db=1":     `unknown setting "db"`,
		"redis+sentinel://u:secret@a:1,b:2":     "name of the master is missing",
		"redis+sentinel://u:secret@a:1/m?db=x":  `db "x" is not a number`,
		"redis+sentinel://u:secret@a:1/m?nix=1": `unknown setting "nix"`,
		"redis+sentinel://u:sec@a:ret@a:1/m":    "", // the last @ counts: it fails only when it connects
		"unix://":                               "empty unix socket path",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s, err := Open(ctx, Config{URL: address})
		if err == nil {
			s.Close()
			t.Errorf("Open(%q) has no error", address)
			continue
		}
		if want != "" && !errors.Is(err, ErrAddress) {
			t.Errorf("Open(%q): %v, want ErrAddress", address, err)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q): %v; want %q and no secret", address, err, want)
		}
	}
	if _, err := Open(t.Context(), Config{URL: "memory", Account: "Bad Name"}); err == nil {
		t.Error("a bad account name is accepted")
	}
}
