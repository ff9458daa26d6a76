package record_test

import (
	"errors"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func TestNormalAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" \t\u200b", ""},
		{"anna@x.example", "anna@x.example"},
		{"ANNA@X.Example", "anna@x.example"},
		{"\u200banna@x.example", "anna@x.example"},
		{"an\u00adna@x.exam\u2060ple", "anna@x.example"},
		{"\ufeffanna@x.example\u200f", "anna@x.example"},
		{"\u202aanna@x.example\u202c", "anna@x.example"},
		{"\u2066anna@x.example\u2069", "anna@x.example"},
		{"anna@x.example\u3164\ufe0f\U000e0041", "anna@x.example"},
		{"\u00a0anna@x.example\u3000", "anna@x.example"},
		{"an\u2800na\U0001d159@x.example\u2028", "anna@x.example"},
		{"mailto:anna@x.example", "anna@x.example"},
		{"MailTo: anna@x.example?subject=Hi%20there", "anna@x.example"},
		{"mailto:anna%40x.example", "anna@x.example"},
		{"mailto:%20Anna%40X.example%E2%80%8B", "anna@x.example"},
		{"<anna@x.example>", "anna@x.example"},
		{"<mailto:anna@x.example>", "anna@x.example"},
		{"Anna <anna@x.example>", "anna@x.example"},
		{`"Lee, Anna" <anna@x.example>;`, "anna@x.example"},
		{"'Anna' <'anna@x.example'>", "anna@x.example"},
		{"'anna@x.example'", "anna@x.example"},
		{`"anna@x.example"`, "anna@x.example"},
		{`"anna"@x.example`, "anna@x.example"},
		{"“anna@x.example”", "anna@x.example"},
		{"„anna@x.example“", "anna@x.example"},
		{"«anna@x.example»", "anna@x.example"},
		{"`anna@x.example´", "anna@x.example"},
		{"'anna@x.example", "anna@x.example"},
		{"anna@x.example.", "anna@x.example"},
		{"anna@x.example;", "anna@x.example"},
		{"anna@x.example,", "anna@x.example"},
		{"anna@x.example. ;,", "anna@x.example"},
		{"anna @ x.example", "anna@x.example"},
		{"anna＠x.example", "anna@x.example"},
		{"ａｎｎａ@x．example", "anna@x.example"},
		{"anna@x。example", "anna@x.example"},
		{"a\u0308nna@x.example", "änna@x.example"},
		{"info@BÜCHER.example", "info@bücher.example"},
		{"info@xn--bcher-kva.example", "info@bücher.example"},
		{"info@XN--BCHER-KVA.example", "info@bücher.example"},
		{"info@xn--e1afmkfd.xn--80akhbyknj4f", "info@пример.испытание"},
		{"info@xn--fiqs8s", "info@中国"},
		{"info@xn--bcher-x.example", "info@xn--bcher-x.example"},
		{"mailto://anna@x.example", "anna@x.example"},
		{"+31201234567@sms.example", "+31201234567@sms.example"},
		{"anna.иван@x.example", "anna.иван@x.example"},
		{"名・前@日本・語.example", "名・前@日本・語.example"},
		{"_dmarc@_x.example", "_dmarc@_x.example"},
		{"o'brien+news@x.example", "o'brien+news@x.example"},
		{"!#$%&'*+-/=?^_{|}~@x.example", "!#$%&'*+-/=?^_{|}~@x.example"},
		{"a%40b@x.example", "a%40b@x.example"},
		{"abc..def.@x.example", "abc..def.@x.example"},
		{"root@localhost", "root@localhost"},
		{"root@[192.0.2.1]", "root@[192.0.2.1]"},
		{"info@xn--i-7iq.example", "info@xn--i-7iq.example"},
	} {
		got, err := record.NormalAddress(c.in)
		if err != nil || got != c.want {
			t.Errorf("NormalAddress(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
		if folded := record.FoldAddress(c.in); folded != c.want {
			t.Errorf("FoldAddress(%q) = %q; want %q", c.in, folded, c.want)
		}
	}
}

func TestNoNormalAddress(t *testing.T) {
	for _, in := range []string{
		"anna", "@x.example", "anna@", "a@b@x.example", "a@x.example; b@x.example", "a@x.example b@x.example", "anna lee@x.example", "anna@x example",
		"anna@x..example", "anna@.example", "<>", "''", "...", "mailto:", "e-mail: anna@x.example", "anna(at)x.example", "anna@x.example (work)",
		"Anna <anna>", "anna@x.example/path", "a\ufffd@x.example", "anna@x_y:z", "an,na@x.example", "\u0600anna@x.example", "an\rna@x.example", "an\u2028na@x.example",
		"=anna@x.example", "*anna@x.example", "|anna@x.example", "/anna@x.example", "{anna@x.example", "+anna@x.example", "+@x.example", ".anna@x.example",
		"anna@x.example-", "anna@-x.example", "anna@x-.example", "anna@x.example_", "info@xn--bcher-.example", "_anna@x.example_",
		"❤@x.example", "info@i❤.example", "anna@x.example®", "anna@x.example†", "anna@x.example📧", "📧anna@x.example", "anna@x‐y.example", "anna@x.example、",
		"\u0430nna@x.example", "anna@x.ex\u0430mple", "ann\u0251\u03b1@x.example",
	} {
		if got, err := record.NormalAddress(in); !errors.Is(err, record.ErrNoAddress) {
			t.Errorf("NormalAddress(%q) = %q, %v; want it refused", in, got, err)
		}
	}
}

func TestAddressPart(t *testing.T) {
	for _, s := range []string{"", "jane", "@acme.example", "jane@", "@", "bücher", "acme.", "+news@", "@[192.0", "192.0.2.1]", "o'brien"} {
		if !record.AddressPart(s) {
			t.Errorf("no address holds %q, they say", s)
		}
	}
	for _, s := range []string{" ", "@acme.example ", "@acme.example, @b.example", "jane;", "<jane", "mailto:jane", "@a@b", "jane doe", "@acme.example!", "(jane"} {
		if record.AddressPart(s) {
			t.Errorf("an address holds %q, they say", s)
		}
	}
}

func TestFoldPartOfAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"@ACME.example", "@acme.example"},
		{"@xn--bcher-kva.example", "@bücher.example"},
		{".XN--bcher-kva.example", ".bücher.example"},
		{" Jane@", " jane@"},
		{"jane@acme.", "jane@acme."},
		{"jane", "jane"},
		{"Jane.", "jane."},
		{"A@x.example;B@x.example", "a@x.example;b@x.example"},
		{"@", "@"},
		{"+", "+"},
	} {
		if got := record.FoldPart(c.in); got != c.want {
			t.Errorf("FoldPart(%q) = %q; want %q", c.in, got, c.want)
		}
	}
}

// FuzzNormalAddress checks that a normal form is its own normal form, and that case and invisible marks change nothing.
func FuzzNormalAddress(f *testing.F) {
	for _, s := range []string{"anna@x.example", "Anna <a@x>", "mailto:a%40b", "İ@x", "ß@ẞ", "a@xn--bcher-kva", "ﬁ@x", "a@ſ.K", "xn--a@xn--b-.xn--", "ͅ@ΐ", "a@x.;'", "“a”@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := record.NormalAddress(s)
		if err != nil {
			return
		}
		twice, err := record.NormalAddress(once)
		if err != nil || twice != once {
			t.Errorf("the normal form of %q is %q, and that one's is %q, %v", s, once, twice, err)
		}
		if once == "" {
			return
		}
		marked, err := record.NormalAddress("\u200e <" + once + "> \u200b;")
		if err != nil || marked != once {
			t.Errorf("with marks around it %q becomes %q, %v", once, marked, err)
		}
		if folded := record.FoldAddress(s); folded != once {
			t.Errorf("%q folds to %q; want its normal form %q", s, folded, once)
		}
	})
}
