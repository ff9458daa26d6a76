package csvfile

import (
	"crypto/sha256"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// seen remembers which line of the file had which record id and e-mail address: 16 bytes of a hash and
// a line number for each address, an id and a line number for each id, about 40 bytes apiece in a Go map.
type seen struct {
	ids    map[crmstore.ID]uint32
	emails map[[16]byte]uint32
}

func newSeen() *seen {
	return &seen{ids: make(map[crmstore.ID]uint32), emails: make(map[[16]byte]uint32)}
}

// add remembers an entry and returns the latest earlier line with the same id or address, 0 when there is
// none. When again is false, an entry that has one is not remembered.
func (s *seen) add(e *entry, again bool) (earlier int, f *Finding) {
	var key [16]byte
	var byID, byEmail uint32
	if e.upsert.ID != 0 {
		byID = s.ids[e.upsert.ID]
	}
	if e.email != "" {
		sum := sha256.Sum256([]byte(e.email))
		key = [16]byte(sum[:16])
		byEmail = s.emails[key]
	}
	switch {
	case byID != 0:
		f = &Finding{Code: DuplicateID, Message: fmt.Sprintf("the record id %s stands on line %d already", e.upsert.ID, byID)}
	case byEmail != 0:
		f = &Finding{Code: DuplicateEmail, Message: fmt.Sprintf("the e-mail address %s stands on line %d already", quote(e.email), byEmail)}
	}
	if f != nil {
		f.Line, f.Help = e.line, "keep one of the lines, or let the later line win with --allow-duplicates"
		if !again {
			return int(max(byID, byEmail)), f
		}
	}
	if e.upsert.ID != 0 {
		s.ids[e.upsert.ID] = uint32(e.line)
	}
	if e.email != "" {
		s.emails[key] = uint32(e.line)
	}
	return int(max(byID, byEmail)), f
}
