package terminal

import "testing"

func TestWidth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "Jane": 4, "é": 1, "e\u0301": 1, "日本": 4, "Ａ": 2, "👩": 2, "👩\u200d💻": 4, "❤\ufe0f": 1, "\u0600": 1, "a\u00a0b": 3,
	} {
		if got := Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"Jane", 4, "Jane"}, {"Jane Doe", 4, "Jan…"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		if got := Cut(c.text, c.n); got != c.want || Width(got) > c.n {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	for _, r := range "\x00\t\n\r\x1b\x7f\u0085\u200b\u202e\u2066\ufeff" {
		if !Hidden(r) {
			t.Errorf("%U reaches the terminal", r)
		}
	}
	for _, r := range "a é日👩\u200d\ufe0f\u0301\u0600" {
		if Hidden(r) {
			t.Errorf("%U is hidden", r)
		}
	}
}

func TestPaint(t *testing.T) {
	t.Parallel()
	if got, want := BoldRed.Paint("no"), "\x1b[1;31mno\x1b[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Plain.Paint("no") + Red.Paint(""); got != "no" {
		t.Errorf("without a style, and an empty text: got %q, want no sequences", got)
	}
}
