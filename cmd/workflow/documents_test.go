package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// This file holds the documents to the repository: what they link to and cite is there.

// document is a Markdown file with its headings' anchors.
type document struct {
	text    string
	anchors []string
}

var (
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	anchorDrops  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	relativeLink = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	citation     = regexp.MustCompile(`DECISIONS\.md#([a-z0-9-]+)`)
	numbered     = regexp.MustCompile(`DECISIONS\.md, ?\d+|\b[Dd]ecisions? (?:no\. ?)?\d+`)
	codeSpan     = regexp.MustCompile("`([^`\\s]+)`")
	fenced       = regexp.MustCompile("(?ms)^```.*?^```$")
)

// repository is the path from this package to the repository's root.
const repository = "../.."

// readDocument reads a document of the repository by its path there.
func readDocument(t *testing.T, path string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	d := document{text: fenced.ReplaceAllString(string(text), "")}
	for _, m := range heading.FindAllStringSubmatch(d.text, -1) {
		d.anchors = append(d.anchors, anchorOf(m[1]))
	}
	return d
}

// anchorOf is the anchor by which a heading is linked to.
func anchorOf(title string) string {
	return strings.ReplaceAll(anchorDrops.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// documents are the paths of all Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for path := range repositoryFiles(t) {
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// repositoryFiles are the paths of the repository's files of text, and a way to read each.
func repositoryFiles(t *testing.T) map[string]func() string {
	t.Helper()
	kinds := []string{".md", ".go", ".lua", ".yml", ".yaml", ".sh", ".txtar", ".acl"}
	files := map[string]func() string{}
	err := fs.WalkDir(os.DirFS(repository), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "bin" || path == ".make/bin" || path == ".make/tmp"):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(kinds, filepath.Ext(path)) && d.Name() != "Makefile":
			return nil
		}
		files[path] = func() string {
			text, err := os.ReadFile(filepath.Join(repository, path))
			if err != nil {
				t.Error(err)
			}
			return string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkPaths says which of the files that a text names in code spans are not in the repository. A span with a slash is a path,
// unless it has a character that paths here do not have; <name> stands for any name.
func checkPaths(t *testing.T, where, text string) {
	t.Helper()
	placeholder, path := regexp.MustCompile(`<[a-z]+>`), regexp.MustCompile(`^[A-Za-z0-9_.*/@-]+$`)
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		name := placeholder.ReplaceAllString(m[1], "*")
		if !strings.Contains(name, "/") || strings.HasPrefix(name, "/") || !path.MatchString(name) {
			continue
		}
		if found, err := filepath.Glob(filepath.Join(repository, name)); err != nil || len(found) == 0 {
			t.Errorf("%s names %s, which is not there", where, m[1])
		}
	}
}

// Every link from one document to a file or a heading leads there.
func TestDocuments_LinksLead(t *testing.T) {
	t.Parallel()
	found := 0
	for _, path := range documents(t) {
		from := readDocument(t, path)
		for _, m := range relativeLink.FindAllStringSubmatch(from.text, -1) {
			target, anchor := m[1], m[2]
			if strings.Contains(target, ":") {
				continue // of the web
			}
			found++
			to, file := from, filepath.Join(filepath.Dir(path), target)
			if target != "" {
				if _, err := os.Stat(filepath.Join(repository, file)); err != nil {
					t.Errorf("%s links to %s: %v", path, target, err)
					continue
				}
				if anchor != "" {
					to = readDocument(t, file)
				}
			}
			if anchor != "" && !slices.Contains(to.anchors, anchor) {
				t.Errorf("%s links to %s#%s, and there is no such heading", path, target, anchor)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d links found: the way to find them is broken", found)
	}
}

// A decision is cited by its short name. A citation leads to an entry.
func TestDocuments_CitationsLead(t *testing.T) {
	t.Parallel()
	entries := readDocument(t, "docs/DECISIONS.md").anchors
	found := 0
	for path, read := range repositoryFiles(t) {
		text := read()
		for _, m := range citation.FindAllStringSubmatch(text, -1) {
			found++
			if !slices.Contains(entries, m[1]) {
				t.Errorf("%s cites %s, which docs/DECISIONS.md does not have", path, m[0])
			}
		}
		if m := numbered.FindString(text); m != "" {
			t.Errorf("%s says %q: cite decisions as docs/DECISIONS.md#SHORT-NAME", path, m)
		}
	}
	if found < 2 {
		t.Errorf("%d citations found: the way to find them is broken", found)
	}
}

// Every entry of docs/DECISIONS.md says the five things, in their order, has a short name of its own, and says where its choice is.
func TestDocuments_DecisionsAreWhole(t *testing.T) {
	t.Parallel()
	d := readDocument(t, "docs/DECISIONS.md")
	entries := regexp.MustCompile(`(?m)^### `).Split(d.text, -1)[1:]
	for _, entry := range entries {
		name, body, _ := strings.Cut(entry, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		if n := utf8.RuneCountInString(name); n > 40 || strings.ContainsAny(name, ".,:;") {
			t.Errorf("%q is no short name", name)
		}
		if n := slices.Index(d.anchors, anchorOf(name)); slices.Contains(d.anchors[n+1:], anchorOf(name)) {
			t.Errorf("%q is the name of two entries", name)
		}
		var said []string
		for _, m := range regexp.MustCompile(`(?m)^- \*\*([A-Za-z]+):\*\* \S`).FindAllStringSubmatch(body, -1) {
			said = append(said, m[1])
		}
		if want := "Question Choice Rejected Why Where"; strings.Join(said, " ") != want {
			t.Errorf("%q says %s, want %s", name, said, want)
		}
		_, where, _ := strings.Cut(body, "**Where:**")
		checkPaths(t, "decision "+name, where)
	}
	if len(entries) < 40 {
		t.Errorf("%d entries found: the way to find them is broken", len(entries))
	}
}

// The map of CONTRIBUTING.md leads to files that are there.
func TestDocuments_MapLeads(t *testing.T) {
	t.Parallel()
	checkPaths(t, "CONTRIBUTING.md", readDocument(t, "CONTRIBUTING.md").text)
}
