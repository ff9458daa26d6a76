package container

import (
	"encoding/xml"
	"math"
	"strconv"
	"strings"
	"time"
)

// style is what the number of a cell stands for.
type style struct {
	day, clock bool // a date, a time of day
	elapsed    bool // hours that go on beyond a day
	percent    bool
	zeros      int // a code with so many digits, such as 00000 for 02139
}

// epoch is the day that dates of a workbook are counted from.
type epoch uint8

const (
	from1900 epoch = iota
	from1904
)

// readStyles reads the styles of cells, by number.
func (b *book) readStyles() ([]style, error) {
	formats := make(map[int]string)
	var styles []style
	inCells := false
	err := b.elements(b.types["styles"], func(e xml.StartElement, _ *tokens) error {
		switch e.Name.Local {
		case "numFmt":
			if id, err := strconv.Atoi(attr(e, "numFmtId")); err == nil {
				formats[id] = attr(e, "formatCode")
			}
		case "cellXfs":
			inCells = true
		case "cellStyles", "cellStyleXfs", "dxfs":
			inCells = false
		case "xf":
			if inCells {
				id, err := strconv.Atoi(attr(e, "numFmtId"))
				if err != nil {
					id = 0
				}
				styles = append(styles, styleOf(id, formats))
			}
		}
		return nil
	})
	return styles, err
}

// styleOf is the style of a number format. Formats below 164 are the same in every workbook, unless it says otherwise.
func styleOf(id int, formats map[int]string) style {
	if code, ok := formats[id]; ok {
		return formatStyle(code)
	}
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return style{day: true}
	case id == 22:
		return style{day: true, clock: true}
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id == 45, id == 47, id == 55, id == 56:
		return style{clock: true}
	case id == 46:
		return style{clock: true, elapsed: true}
	case id == 9, id == 10:
		return style{percent: true}
	}
	return style{}
}

// formatStyle reads a number format such as [$-409]dd/mm/yyyy h:mm, of which the part for positive numbers counts.
func formatStyle(code string) style {
	code, _, _ = strings.Cut(code, ";")
	var s style
	minutes := false
	if len(code) > 1 && strings.Trim(code, "0") == "" {
		return style{zeros: len(code)}
	}
	for code != "" {
		c := code[0] | 0x20
		switch {
		case code[0] == '"':
			_, code, _ = strings.Cut(code[1:], `"`)
			continue
		case code[0] == '\\' || code[0] == '_' || code[0] == '*':
			code = code[min(2, len(code)):]
			continue
		case code[0] == '[':
			within, rest, _ := strings.Cut(code[1:], "]")
			if within != "" && strings.Trim(strings.ToLower(within), "h") == "" {
				s.clock, s.elapsed = true, true
			}
			code = rest
			continue
		case len(code) >= 5 && strings.EqualFold(code[:5], "AM/PM"):
			s.clock, code = true, code[5:]
			continue
		case len(code) >= 7 && strings.EqualFold(code[:7], "General"):
			code = code[7:]
			continue
		case c == 'y' || c == 'd':
			s.day = true
		case c == 'h' || c == 's':
			s.clock = true
		case c == 'm':
			minutes = true
		case code[0] == '%':
			s.percent = true
		}
		code = code[1:]
	}
	s.day = s.day || minutes && !s.clock
	return s
}

const lastSerial = 2958466 // the day after 9999-12-31

// cell is the number of a cell as its style shows it, without a mark; a number, and not a date or a code, when number is true.
func (s style) cell(v float64, base epoch) (text string, number bool) {
	switch {
	case s.percent:
		return plain(math.Round(v*100*1e12)/1e12) + "%", true
	case s.zeros > 0 && v == math.Trunc(v) && v >= 0 && v < 1e15:
		digits := plain(v)
		return strings.Repeat("0", max(0, s.zeros-len(digits))) + digits, len(digits) >= s.zeros
	case (s.day || s.clock) && v >= 0 && v < lastSerial:
		return s.date(v, base), false
	}
	return plain(v), true
}

// plain writes a number with a point and without an exponent, as long as that stays short.
func plain(v float64) string {
	if math.Abs(v) < 1e21 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

const msPerDay = 24 * 60 * 60 * 1000

// date is the day and the time of a number of days.
func (s style) date(v float64, base epoch) string {
	ms := int64(math.Round(v * msPerDay))
	days, rest := ms/msPerDay, ms%msPerDay
	clock := time.UnixMilli(rest).UTC().Format("15:04:05.999")
	if !s.day {
		if s.elapsed && days > 0 {
			return strconv.FormatInt(ms/3_600_000, 10) + clock[2:]
		}
		if days == 0 || !s.elapsed && rest != 0 && days < 2 {
			return clock
		}
	}
	var text string
	switch {
	case base == from1904:
		text = time.Date(1904, 1, 1+int(days), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	case days == 0:
		text = "1900-01-00" // what a spreadsheet shows where there is no date
	case days == 60:
		text = "1900-02-29" // which spreadsheets count, and no calendar has
	case days < 60:
		text = time.Date(1899, 12, 31+int(days), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	default:
		text = time.Date(1899, 12, 30+int(days), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	if s.clock || rest != 0 {
		text += "T" + clock
	}
	return text
}
