package crmstore

import (
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
)

// Every script says in its header which keys and arguments it takes, what it returns and what it costs; the
// numbers in the body are those of the header.
func TestScriptHeaders(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(luaFiles, "lua/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "lua/"), ".lua"), func(t *testing.T) {
			t.Parallel()
			header, body := splitScript(redisdb.MustLua(luaFiles, file))
			for _, word := range []string{"KEYS", "Returns", "Cost"} {
				if !strings.Contains(header, "-- "+word+": ") {
					t.Errorf("the header has no line %q", "-- "+word+": ")
				}
			}
			for _, list := range []string{"KEYS", "ARGV"} {
				compareNumbers(t, list, header, body)
			}
			for _, forbidden := range []string{"'TIME'", "BITFIELD", "cmsgpack", "struct.", "redis.setresp", "while "} {
				if strings.Contains(body, forbidden) {
					t.Errorf("the script uses %s, which not every server has, or which may not end", forbidden)
				}
			}
		})
	}
}

func splitScript(source string) (header, body string) {
	var h, b strings.Builder
	for line := range strings.Lines(source) {
		if b.Len() == 0 && strings.HasPrefix(line, "--") {
			h.WriteString(line)
		} else {
			b.WriteString(line)
		}
	}
	return h.String(), b.String()
}

var (
	headerNumber = regexp.MustCompile(`(?:: |, )(\d+)(\.\.)? `)
	bodyNumber   = regexp.MustCompile(`(KEYS|ARGV)\[(\d+)\]`)
)

// compareNumbers holds the literal indexes of the body against the header's; an entry "n.. " in the
// header stands for everything from n on.
func compareNumbers(t *testing.T, list, header, body string) {
	t.Helper()
	said, from := map[int]bool{}, 0
	for line := range strings.Lines(header) {
		if !strings.HasPrefix(line, "-- "+list+": ") {
			continue
		}
		for _, m := range headerNumber.FindAllStringSubmatch(line, -1) {
			n, _ := strconv.Atoi(m[1])
			if said[n] = true; m[2] != "" {
				from = n
			}
		}
	}
	used := map[int]bool{}
	for _, m := range bodyNumber.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(m[2])
		if m[1] != list {
			continue
		}
		if used[n] = true; !said[n] && (from == 0 || n < from) {
			t.Errorf("%s[%d] is not in the header", list, n)
		}
	}
	for n := range said {
		if !used[n] && n != from {
			t.Errorf("%s %d of the header is not used as %s[%d]", list, n, list, n)
		}
	}
}
