package diag

import "testing"

func TestText_Places(t *testing.T) {
	t.Parallel()
	text := NewText("f", "aé\nb", nil)
	for offset, want := range map[int]Pos{-1: {1, 1}, 0: {1, 1}, 1: {1, 2}, 3: {1, 3}, 4: {2, 1}, 5: {2, 2}, 9: {2, 2}} {
		if got := text.Pos(offset); got != want {
			t.Errorf("Pos(%d) = %v, want %v", offset, got, want)
		}
	}
	want := Finding{Code: Syntax, File: "f", Pos: Pos{1, 2}, End: Pos{2, 1}, Message: "m", Help: "h"}
	if got := text.Finding(Syntax, 1, 4, "m", "h"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := Whole(Empty, "f", "m", "h"), (Finding{Code: Empty, File: "f", Message: "m", Help: "h"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := (Finding{Code: Empty, Pos: Pos{2, 3}, Message: "m"}).String(), "2:3: m [WF106]"; got != want {
		t.Errorf("without a file: got %q, want %q", got, want)
	}
	if got, want := (Finding{Code: Empty, Message: "m"}).String(), "m [WF106]"; got != want {
		t.Errorf("without file and place: got %q, want %q", got, want)
	}
}

func TestUnderline_ShowsTheNeighbourhoodInAVeryLongLine(t *testing.T) {
	t.Parallel()
	line := make([]rune, 100_000)
	for i := range line {
		line[i] = rune('0' + i%10)
	}
	text, mark := underline(string(line), Pos{1, 50_001}, Pos{1, 50_004})
	if runes := []rune(text); mark.wide != 3 || len(runes) != lineWidth+2 || string(runes[mark.before:mark.before+3]) != "012" {
		t.Errorf("mark %+v below %q", mark, text)
	}
}
