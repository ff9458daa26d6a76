package record

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

// StandardObjects lists the object types every account has, contacts first. [crmstore.Store.Objects] lists an account's.
func StandardObjects() []ObjectType { return []ObjectType{Contact, Company, Deal, Ticket, Call} }

var plurals = map[string]ObjectType{
	"contacts": Contact, "companies": Company, "deals": Deal, "tickets": Ticket, "calls": Call,
}

var objectName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// StandardObject reads a standard object type, in singular or plural and any case.
func StandardObject(s string) (o ObjectType, ok bool) {
	name := strings.ToLower(strings.TrimSpace(s))
	if o, ok := plurals[name]; ok {
		return o, true
	}
	for _, o := range StandardObjects() {
		if string(o) == name {
			return o, true
		}
	}
	return "", false
}

// ParseObjectType reads a standard object type, in singular or plural and any case. [crmstore.Store.Object] knows those that
// the account has defined too.
func ParseObjectType(s string) (ObjectType, error) {
	if o, ok := StandardObject(s); ok {
		return o, nil
	}
	if !objectName.MatchString(strings.ToLower(strings.TrimSpace(s))) {
		return "", fmt.Errorf("object type %q: want lower-case letters, digits and _, such as contact", s)
	}
	return "", fmt.Errorf("object type %q is not known; every account has contact, company, deal, ticket and call", s)
}

// WellFormed reports whether the type can be named so.
func (o ObjectType) WellFormed() bool { return objectName.MatchString(string(o)) }

// Plural is the word for many records of the type, for people: "contacts", "companies".
func (o ObjectType) Plural() string {
	for p, t := range plurals {
		if t == o {
			return p
		}
	}
	return PluralOf(string(o))
}

// PluralOf is the plural of an English noun, by the rules that have few exceptions.
func PluralOf(word string) string {
	end := strings.ToLower(word)
	switch {
	case strings.HasSuffix(end, "y") && len(end) > 1 && !strings.ContainsRune("aeiou", rune(end[len(end)-2])):
		return word[:len(word)-1] + "ies"
	case strings.HasSuffix(end, "s"), strings.HasSuffix(end, "x"), strings.HasSuffix(end, "ch"), strings.HasSuffix(end, "sh"):
		return word + "es"
	}
	return word + "s"
}
