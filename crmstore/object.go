package crmstore

import (
	"fmt"
	"regexp"
	"strings"
)

// ObjectType names what kind of thing a record is. The word is singular, as in `object: contact`.
type ObjectType string

// The object types every account has.
const (
	Contact ObjectType = "contact"
	Company ObjectType = "company"
	Deal    ObjectType = "deal"
	Ticket  ObjectType = "ticket"
	Call    ObjectType = "call"
)

// StandardObjects lists the object types every account has, contacts first.
func StandardObjects() []ObjectType { return []ObjectType{Contact, Company, Deal, Ticket, Call} }

var plurals = map[string]ObjectType{
	"contacts": Contact, "companies": Company, "deals": Deal, "tickets": Ticket, "calls": Call,
}

var objectName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// ParseObjectType reads a standard object type, in singular or plural and any case.
func ParseObjectType(s string) (ObjectType, error) {
	name := strings.ToLower(strings.TrimSpace(s))
	if o, ok := plurals[name]; ok {
		return o, nil
	}
	for _, o := range StandardObjects() {
		if string(o) == name {
			return o, nil
		}
	}
	if !objectName.MatchString(name) {
		return "", fmt.Errorf("object type %q: want lower-case letters, digits and _, such as contact", s)
	}
	return "", fmt.Errorf("object type %q is not known; the account has contact, company, deal, ticket and call", s)
}

// Plural is the word for many records of the type, for people: "contacts", "companies".
func (o ObjectType) Plural() string {
	for p, t := range plurals {
		if t == o {
			return p
		}
	}
	return string(o) + "s"
}
