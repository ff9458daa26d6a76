package csvfile

import (
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// ParseValue reads one value as [Import] reads a cell of the property; the empty text is the unknown value. A time
// without a zone is in the given one (nil = UTC). The error says what was found and what to write instead.
func ParseValue(p *record.Property, text string, zone *time.Location) (record.Value, error) {
	if zone == nil {
		zone = time.UTC
	}
	read := func() (record.Value, *problem) { return reading{zone: zone}.value(p, indexOptions(p), text) }
	if p.Number == record.PropertyEmail && p.Name == "email" { // the number belongs to something else in other object types
		read = func() (record.Value, *problem) { return emailValue(text) }
	}
	v, bad := read()
	switch {
	case bad == nil:
		return v, nil
	case bad.help == "":
		return v, fmt.Errorf("%s: %s", p.Name, bad.message)
	}
	return v, fmt.Errorf("%s: %s (%s)", p.Name, bad.message, bad.help)
}
